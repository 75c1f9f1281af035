"""List, describe, fetch and show the data sets."""

import argparse

from keras_betavae.cli._paths import local


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the four actions and their arguments."""
    from keras_betavae.datasets import catalog

    actions = command.add_subparsers(required=True, metavar="list|info|fetch|show")
    for name, action, text in (
        ("list", _list, "list the data sets, and whether they are on this machine"),
        ("info", _info, "print a data set's factors and released files"),
        ("fetch", _fetch, "download a data set's files, check them and unpack them"),
        ("show", _show, "draw a contact sheet with a row for each factor"),
    ):
        each = actions.add_parser(name, help=text, description=text)
        each.set_defaults(action=action)
        each.add_argument("--cache-dir", type=local, metavar="DIR", help="folder of the data sets")
        if name != "list":
            each.add_argument("name", choices=catalog.names(), metavar="NAME")
        if name in ("fetch", "show"):
            each.add_argument(
                "--path", type=local, help="the released file, or the folder with the files"
            )
        if name == "show":
            each.add_argument("--out", type=local, required=True, metavar="FILE.png")


def run(options: argparse.Namespace) -> None:
    """Runs the action."""
    options.action(options)


def _list(options: argparse.Namespace) -> None:
    from keras_betavae._utils.tables import markdown_table
    from keras_betavae.datasets import catalog

    rows = []
    for name in catalog.names():
        entry = catalog.get(name)
        shape = "×".join(map(str, entry.image_shape))
        here = entry.status(options.cache_dir)
        rows.append([name, entry.summary, f"{len(entry):,}", shape, here])
    header = ["data", "what", "images", "shape", "here"]
    print(markdown_table(header, rows, numbers=False))


def _info(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog

    entry = catalog.get(options.name)
    factors = ", ".join(f"{name} {size}" for name, size in entry.factors.items())
    print(f"{entry.name}: {entry.summary}")
    print(f"images    {len(entry):,} of {'×'.join(map(str, entry.image_shape))}")
    print(f"factors   {factors}")
    print(f"here      {entry.status(options.cache_dir)}")
    for file in entry.files:
        print(f"released  {file.url}" + (f" (MD5 {file.md5})" if file.md5 else ""))


def _fetch(options: argparse.Namespace) -> None:
    from keras_betavae.datasets import catalog

    print(catalog.load(options.name, options.path, cache_dir=options.cache_dir))


def _show(options: argparse.Namespace) -> None:
    from keras_betavae import visualization
    from keras_betavae.datasets import catalog

    data = catalog.load(options.name, options.path, cache_dir=options.cache_dir)
    visualization.write_png(options.out, visualization.contact_sheet(data))
    print(options.out)
