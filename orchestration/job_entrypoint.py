"""What Databricks jobs and ``python orchestration/job_entrypoint.py`` point at."""

import sys
from pathlib import Path

# A Databricks task has no __file__.
PROJECT = Path(globals().get("__file__", sys.argv[0])).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "src"))

from nbx_medallion.databricks import main, run_pipeline  # noqa: E402

__all__ = ["run_pipeline"]

if __name__ == "__main__":
    main(project_path=PROJECT)
