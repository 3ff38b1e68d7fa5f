"""Addresses of databases: filled in from the environment, and never told."""

import socket

import pytest

from features.errors import ConfigError, StorageError
from pipelines.databases import address, require
from pipelines.serving import free_port

SECRET = "s3cr3t"


def test_an_address_takes_its_names_from_the_environment(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.delenv("DB_USER", raising=False)
    assert address("postgresql://a:$DB_PASSWORD@h/d", "databases.mlflow") == f"postgresql://a:{SECRET}@h/d"
    with pytest.raises(ConfigError, match=r"databases\.mlflow names \$DB_USER") as refused:
        address("postgresql+psycopg://$DB_USER:$DB_PASSWORD@h/d", "databases.mlflow")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_database_that_does_not_answer_is_one_sentence_without_its_address(driver):
    url = f"postgresql+{driver}://minusnine:{SECRET}@127.0.0.1:{free_port()}/d"
    with pytest.raises(StorageError, match=r"databases\.prefect names must answer; nothing listens there") as lost:
        require(url, "databases.prefect")
    told = [lost.value, lost.value.__cause__]
    assert lost.value.__suppress_context__
    assert not any(words in str(error) for error in told for words in (SECRET, "127.0.0.1"))


@pytest.mark.parametrize("url", [f"nothing {SECRET}", f"klingon://a:{SECRET}@h/d", f"mysql+pymysql://a:{SECRET}@h/d"])
def test_what_is_no_address_is_a_fault_of_the_configuration(url):
    with pytest.raises(ConfigError, match=r"exposure\.url must be an address that SQLAlchemy opens") as refused:
        require(url, "exposure.url")
    assert SECRET not in str(refused.value)


def test_a_port_that_is_free_can_be_listened_at():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
