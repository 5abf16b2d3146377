"""`python -m snowmelt.retrieval.demo` embeds the demo catalogues again, for when texts or `item_text` have changed."""

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.demo import CATALOGUES, VECTORS
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build


def main() -> None:
    embedder = open_embedder()
    vectors = {}
    with TemporaryDirectory() as folder:
        for path in CATALOGUES:
            out = Path(folder) / path.stem
            build(path, out, embedder)
            catalogue = Catalogue.open(out, embedder)
            for row, vector in enumerate(catalogue.vectors):
                vectors[sha256(catalogue.text(row).encode()).hexdigest()] = np.float16(vector)
    rows = np.stack(list(vectors.values()))
    np.savez_compressed(VECTORS, embedder=np.array(embedder.id), texts=np.array(list(vectors)), vectors=rows)


if __name__ == "__main__":
    main()
