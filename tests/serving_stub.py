"""A server that answers as TensorFlow Serving's published protocols say, out of a SavedModel.

REST: https://www.tensorflow.org/tfx/serving/api_rest, its columnar format. gRPC: the messages and
the service of tensorflow-serving-api.
"""

import contextlib
import http.server
import json
import threading
from concurrent import futures

import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def rest_server(path, name):
    """Serves a SavedModel over HTTP on a port of loopback, which it gives."""
    signatures = tf.saved_model.load(path).signatures

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == f"/v1/models/{name}"
            status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK"}}
            self._answer({"model_version_status": [status]})

        def do_POST(self):
            assert self.path == f"/v1/models/{name}:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signature = signatures[body.get("signature_name", "serving_default")]
            specs = signature.structured_input_signature[1]
            inputs = {k: tf.constant(v, specs[k].dtype) for k, v in body["inputs"].items()}
            outputs = {k: v.numpy().tolist() for k, v in signature(**inputs).items()}
            self._answer({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})

        def _answer(self, value):
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def grpc_server(path, name):
    """Serves a SavedModel over gRPC on a port of loopback, which it gives."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    signatures = tf.saved_model.load(path).signatures

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == name
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            for key, value in signatures[request.model_spec.signature_name](**inputs).items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
