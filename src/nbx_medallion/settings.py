"""Project settings: what Kedro is told about this project.

See https://docs.kedro.org/en/stable/configure/project_settings/.
"""

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.run.session import MedallionSession

SESSION_CLASS = MedallionSession
CONFIG_LOADER_CLASS = MedallionConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"engines": ["engines*", "engines*/**"]},
    "merge_strategy": dict.fromkeys(("catalog", "engines", "globals", "parameters"), "soft"),
}
# Nothing about a run leaves the machine, wherever it is run from.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
