"""YAML as people mean it: 12:30 is no number of seconds, and 0123 no octal one.

Read by libyaml wherever PyYAML was built with it: the same answers, and the same mistakes found (told in other words),
in an eighth of the time.
"""

import re
from datetime import time
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator

TAG = "tag:yaml.org,2002:"
NUMBERS = {
    f"{TAG}int": re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$"),
    f"{TAG}float": re.compile(
        r"[-+]?(?:(?:0|[1-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\.(?:inf|Inf|INF))$"
        r"|\.(?:nan|NaN|NAN)$"
    ),
}
"""What is a number: as YAML 1.1 has it, without base 60 and without leading zeros, which are how codes are written."""


class SafeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """`yaml.SafeLoader` but for `NUMBERS`."""


SafeLoader.yaml_implicit_resolvers = {
    first: [(tag, NUMBERS.get(tag, words)) for tag, words in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class StrictLoader(SafeLoader):
    """YAML in which `on`, `no` and the like are words, and a key given twice is an error, not the loss of the first."""


def _unique_keys(loader: StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            message = f"'{key}' is given twice"
            raise yaml.constructor.ConstructorError(None, None, message, node.value[position][0].start_mark)
    found: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return found


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, words) for tag, words in resolvers if first in "tTfF" or not tag.endswith(":bool")]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_keys)


def load_yaml(text: str, loader: Any = SafeLoader) -> Any:
    """What the text says, in plain types; yaml.YAMLError where it is no YAML, or says a date that there is not."""
    try:
        return yaml.load(text, Loader=loader)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


def _of_day(value: Any) -> Any:
    """A number would be taken for seconds since midnight."""
    if isinstance(value, str) and re.fullmatch(r"\d:\d\d(:\d\d)?", value):
        return f"0{value}"
    if isinstance(value, str | time):
        return value
    message = "must be a time of day, like 06:00"
    raise ValueError(message)


TimeOfDay = Annotated[time, BeforeValidator(_of_day)]
