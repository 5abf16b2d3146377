"""Any sentence encoder in ONNX form: a folder as sentence-transformers or Hugging Face's optimum writes it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.embedding import PARTS, Vectors, fingerprint, mean_of_parts, prefixes, readable
from snowmelt.retrieval.errors import InputError

WINDOW = 512  # tokens, where the folder names no limit
BATCH = 32
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


class OnnxEmbedder:
    """model.onnx (or onnx/model.onnx) and tokenizer.json; a first output [batch, dim] is taken as it is, [batch,
    tokens, dim] is pooled as 1_Pooling/config.json says (mean, cls or last token), by the masked mean without it.

    Longest input: sentence_bert_config.json, else config.json. Prefixes: the prompts of
    config_sentence_transformers.json, else those known for E5. Longer texts are read in up to `PARTS` windows.
    InputError if something is missing or of a form that would give wrong vectors.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
        from tokenizers import Tokenizer

        models = [p for p in (folder / "model.onnx", folder / "onnx" / "model.onnx") if p.is_file()]
        tokens = folder / "tokenizer.json"
        if not models or not tokens.is_file():
            raise InputError(f"{folder}: {'tokenizer.json' if models else 'model.onnx'} is missing; give the folder")
        config, sizes, said = (
            _settings(folder / name)
            for name in ("config.json", "sentence_bert_config.json", "config_sentence_transformers.json")
        )
        self._pooling = _pooling(folder)
        self._prefixes = _prompts(said) or prefixes(f"{config.get('_name_or_path', '')} {folder.resolve().name}")
        window = sizes.get("max_seq_length") or min(config.get("max_position_embeddings") or WINDOW, WINDOW)
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(tokens))
        except Exception as error:  # tokenizers raises nothing narrower
            raise InputError(f"{tokens}: not a tokenizer ({error})") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=int(window))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(models[0]), options, providers=["CPUExecutionProvider"]
            )
        except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
            raise InputError(f"{models[0]}: onnxruntime cannot open it ({str(error).splitlines()[0]})") from None
        self._inputs = [i.name for i in self._session.get_inputs()]
        if strange := set(self._inputs) - set(INPUTS):
            raise InputError(f"{models[0]}: wants the input {min(strange)!r}; it is not a text encoder")
        self.spec = f"onnx:{folder.resolve()}"
        self.dim = self._run([self._tokenizer.encode(".")]).shape[1]
        weights = [models[0], *sorted(models[0].parent.glob("*.onnx[._]data")), tokens]
        self.id = f"onnx:{fingerprint(weights, self._pooling, self._prefixes, int(window))}"

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[1], texts)

    def queries(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[0], texts)

    def _encode(self, prefix: str, texts: Sequence[str]) -> Vectors:
        found = self._tokenizer.encode_batch([prefix + t for t in readable(texts)])
        parts = [part for encoding in found for part in [encoding, *encoding.overflowing][:PARTS]]
        owners = [i for i, encoding in enumerate(found) for _ in [encoding, *encoding.overflowing][:PARTS]]
        vectors = np.zeros((len(parts), self.dim), np.float32)
        order = sorted(range(len(parts)), key=lambda i: len(parts[i].ids))  # texts of one length waste no padding
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors[rows] = self._run([parts[i] for i in rows])
        return mean_of_parts(vectors, owners, [len(part.ids) for part in parts], len(texts))

    def _run(self, parts: list[Any]) -> NDArray[np.float32]:
        mask = np.zeros((len(parts), max(1, max(len(p.ids) for p in parts))), np.int64)
        ids, types = np.zeros_like(mask), np.zeros_like(mask)
        for row, part in enumerate(parts):
            mask[row, : len(part.ids)] = 1
            ids[row, : len(part.ids)] = part.ids
            types[row, : len(part.ids)] = part.type_ids
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        values["position_ids"] = np.broadcast_to(np.arange(mask.shape[1]), mask.shape).copy()
        outputs = self._session.run(None, {name: values[name] for name in self._inputs})
        pooled = next((o for o in outputs if o.ndim == 2), None)
        if pooled is None:
            states = outputs[0]
            if states.ndim != 3:
                raise InputError(f"{self.spec}: the model's output has {states.ndim} dimensions; it is no text encoder")
            weights = mask[:, :, None].astype(np.float32)
            if self._pooling == "cls":
                pooled = states[:, 0]
            elif self._pooling == "lasttoken":
                pooled = states[np.arange(len(parts)), np.maximum(mask.sum(1) - 1, 0)]
            else:
                pooled = (states * weights).sum(1) / np.maximum(weights.sum(1), 1)
        # Each window counts by its direction; its length would say nothing of the text.
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise InputError(f"{path}: broken JSON; mend or remove it") from None
    return found if isinstance(found, dict) else {}


def _pooling(folder: Path) -> str:
    said = folder / "modules.json"
    modules = json.loads(said.read_text("utf-8")) if said.is_file() else []
    for module in modules:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise InputError(f"{said}: a module {kind!r} follows the encoder and is not supported")
    pooling = _settings(folder / "1_Pooling" / "config.json")
    modes = sorted(k.removeprefix("pooling_mode_") for k, v in pooling.items() if k.startswith("pooling_mode_") and v)
    known = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "lasttoken"}
    if not modes:
        return "mean"
    if len(modes) > 1 or modes[0] not in known:
        raise InputError(f"{folder / '1_Pooling' / 'config.json'}: pooling {', '.join(modes)} is not supported")
    return known[modes[0]]


def _prompts(settings: dict[str, Any]) -> tuple[str, str] | None:
    prompts = settings.get("prompts") or {}
    found = str(prompts.get("query") or ""), str(prompts.get("document") or prompts.get("passage") or "")
    return found if any(found) else None
