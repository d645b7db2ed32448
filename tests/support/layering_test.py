"""Reads every #include against the picture in doc/architecture.md."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# folder -> the folders of this project that it may include
MAY_INCLUDE = {
    "server/base": set(),
    "server/kernels": {"server/base"},
    "server/engine": {"server/base", "server/kernels"},
    "server/metrics": set(),
    "server/catalog": {"server/base", "server/kernels", "server/engine"},
    "server/service": {
        "server/base",
        "server/kernels",
        "server/engine",
        "server/catalog",
        "server/metrics",
    },
    "server/app": {
        "server/base",
        "server/kernels",
        "server/engine",
        "server/catalog",
        "server/metrics",
        "server/service",
    },
    "server": {"server/app", "server/base", "server/engine"},  # main.cc
    "client/cpp": {"server/base"},
    "client/load": {"server/base", "client/cpp"},
    "client/faiss": {"server/base", "client/cpp"},
    "client/cli": {
        "server/base", "client/cpp", "client/faiss", "client/load",
    },
}

# Libraries that one folder alone may know.
ONLY = {
    r"grpcpp/|grpc/": {
        "server/service", "server/app", "client/cpp", "client/load",
    },
    r"httplib": {"client/load"},
    r"faiss/|omp\.h": {"server/engine", "client/faiss"},
    r"\w*mmintrin|immintrin": {"server/kernels"},
    r"prometheus/": {"server/metrics", "server/app"},
    r"spdlog/": {"server/base"},
    r"CLI/": {"client/cli"},
    r"zlib": {"server/service"},
}


def folder_of(path):
    parts = path.split("/")[:2]
    return "/".join(parts) if "." not in parts[-1] else parts[0]


def main():
    errors = []
    for path in sorted(ROOT.glob("server/**/*.[ch]*")) + sorted(
        ROOT.glob("client/**/*.[ch]*")
    ):
        name = str(path.relative_to(ROOT))
        folder = folder_of(name)
        for line in path.read_text().splitlines():
            match = re.match(r'#include ([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            target = match.group(2)
            if match.group(1) == '"' and target.startswith(
                ("server/", "client/", "tests/")
            ):
                wanted = folder_of(target)
                if wanted not in MAY_INCLUDE[folder] | {folder}:
                    errors.append(f"{name} includes {target}")
            for pattern, folders in ONLY.items():
                if re.match(pattern, target) and folder not in folders:
                    errors.append(f"{name} includes {target}")
    print("\n".join(errors) or "every include points downward")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
