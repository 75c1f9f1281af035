"""Warm-up requests of TensorFlow Serving."""

import os
from collections.abc import Mapping

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = descriptor_pb2.FieldDescriptorProto
# TensorFlow Serving's messages, as far as a request fills them: number and type of each field.
# A message that is written already is a field of bytes, and a map is a list of its entries.
_FIELDS = {
    "ModelSpec": {"signature_name": (3, "string")},
    "Input": {"key": (1, "string"), "value": (2, "bytes")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "Input")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def write_warmup(path: str, requests: Mapping[str, Mapping[str, tf.Tensor]]) -> None:
    """Writes requests, the inputs of signatures, into a SavedModel's folder.

    TensorFlow Serving answers them when it loads the model, so the first request of a client does
    not wait for TensorFlow's one-time initialization.
    """
    new_log = _messages()["keras_betavae.PredictionLog"]
    folder = os.path.join(path, "assets.extra")
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(os.path.join(folder, "tf_serving_warmup_requests")) as file:
        for signature, inputs in requests.items():
            log = new_log()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, tensor in inputs.items():
                value = tf.make_tensor_proto(tensor).SerializeToString()
                request.inputs.add(key=name, value=value)
            file.write(log.SerializeToString())


def _messages() -> dict:
    """Returns the classes of `_FIELDS`, in their own pool.

    tensorflow-serving-api has them too, but requires its own version of TensorFlow.
    """
    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="keras_betavae")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number, label=_KINDS.LABEL_OPTIONAL)
            if kind in _FIELDS:
                field.type, field.type_name = _KINDS.TYPE_MESSAGE, kind
            else:
                field.type = _KINDS.Type.Value(f"TYPE_{kind.upper()}")
            if kind == "Input":
                field.label = _KINDS.LABEL_REPEATED
    return message_factory.GetMessages([file], pool=descriptor_pool.DescriptorPool())
