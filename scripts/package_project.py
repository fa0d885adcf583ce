"""Pack the project as dist/nbx-medalion-pipeline.zip: what git tracks, and nothing private.

The same tree gives the same bytes. Works without git too, in an unpacked zip: then the files on
disk are taken, less what git would not track.
"""

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).resolve().parents[1]
OUTPUT = PROJECT / "dist/nbx-medalion-pipeline.zip"
# The first moment that a zip file can say.
_WHEN = (1980, 1, 1, 0, 0, 0)

_FOLDERS = {
    ".git", ".venv", "venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".hypothesis", ".import_linter_cache", ".ipynb_checkpoints", ".databricks", ".viz", ".idea",
    ".vscode", "build", "dist", "metastore_db", "spark-warehouse", "node_modules", "htmlcov",
}  # fmt: skip
_FOLDER_PATTERNS = ("*.egg-info",)
_DATA_OUTPUTS = "data/lakehouse"
_FILES = ("*.py[cod]", ".DS_Store", "derby.log", ".coverage*", "*.log", "uv.lock")
_SECRETS = (
    ".env", ".env.*", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "credentials*.y*ml", "credentials*.json", "secrets*.y*ml", "secrets*.json", ".databrickscfg",
    "id_rsa*", "id_ed25519*", ".netrc", ".pypirc", "*.tfvars",
)  # fmt: skip
_LOCAL_CONF, _KEPT = "conf/local/", "conf/local/.gitkeep"


def main() -> None:
    """Write the zip and say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT.name}")
    output = parser.parse_args().output
    names = package(PROJECT, output)
    sys.stdout.write(f"{output}: {len(names)} files\n")


def package(project: Path, output: Path) -> list[str]:
    """Write a project's files to a zip.

    Args:
        project: Its folder.
        output: The zip, replaced where there is one.

    Returns:
        Names of the files, sorted.
    """
    names = sorted(
        name
        for name in _listed(project)
        if belongs(name) and (project / name).resolve() != output.resolve()
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w") as archive:
        for name in names:
            file = project / name
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3
            executable = file.read_bytes()[:2] == b"#!"
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            # Stored, not deflated: versions of zlib differ in what they make of the same bytes.
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_STORED)
    return names


def belongs(name: str) -> bool:
    """Whether a file is to be shipped.

    Args:
        name: Its path in the project, with ``/``.
    """
    path = PurePosixPath(name)
    if name.startswith(_LOCAL_CONF):
        return name == _KEPT
    if path.is_relative_to(_DATA_OUTPUTS) or _FOLDERS & set(path.parts[:-1]):
        return False
    if any(_matches(part, _FOLDER_PATTERNS) for part in path.parts[:-1]):
        return False
    return not _matches(path.name, (*_FILES, *_SECRETS))


def _listed(project: Path) -> list[str]:
    """Files that git tracks and that are there; all files where the folder is not git's."""
    if (project / ".git").exists():
        listed = subprocess.run(  # noqa: S603
            ["git", "-C", str(project), "ls-files", "-z"],  # noqa: S607
            capture_output=True,
            check=True,
        ).stdout.decode()
        names = [name for name in listed.split("\0") if name]
    else:
        names = [file.relative_to(project).as_posix() for file in project.rglob("*")]
    return [name for name in names if (project / name).is_file()]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


if __name__ == "__main__":
    main()
