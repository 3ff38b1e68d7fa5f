"""What the tests of flows share: one Prefect server."""

import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """A Prefect server of the tests' own: the folder of its database, which is what is searched for identities."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            database = Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).split("///", 1)[1])
            assert database.is_file(), "the search must have something to search"
            yield database.parent


@pytest.fixture
def flows(prefect_home):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipelines import flows

        yield flows
