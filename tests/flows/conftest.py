"""What the tests of flows share: one Prefect server."""

import warnings

import pytest


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """A Prefect server of the tests' own; its database is what is searched for identities."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        home = tmp_path_factory.mktemp("prefect")
        patch.setenv("PREFECT_HOME", str(home))
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            yield home


@pytest.fixture
def flows(prefect_home):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipelines import flows

        yield flows
