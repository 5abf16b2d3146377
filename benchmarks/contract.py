"""schemathesis against the real service that wants keys: does any answer leave the schema, or fail?

    python benchmarks/contract.py CATALOGUE [--examples 260] [--seed 1]

All operations but the two that would end the person whose token is used (erasing them, renewing the token). Left out is
`positive_data_acceptance`: a schema cannot say which cursors, ETags, items and attributes there are.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from service import running
from snowmelt.agent.service.server import manage_keys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue")
    parser.add_argument("--examples", type=int, default=260, help="at most, of each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        key = manage_keys("add", str(Path(folder) / "people.db"), None, "shop")[0]
        with running([args.catalogue], Path(folder), require_key=True, rate=100_000.0) as service:
            with service.client(key) as shop:
                token = shop.post("/v1/people").raise_for_status().json()["token"]
            command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.url}/openapi.json"]
            command += ["-H", f"Authorization: Bearer {token}", "--checks", "all"]
            command += ["--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"]
            command += ["--exclude-operation-id-regex", "erase_v1|renew_token", "--request-timeout", "30", "--no-color"]
            command += ["--max-examples", str(args.examples), "--seed", str(args.seed)]
            return subprocess.run(command, cwd=folder).returncode


if __name__ == "__main__":
    raise SystemExit(main())
