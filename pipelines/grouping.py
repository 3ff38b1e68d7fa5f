"""Whose lists there are: one a team, one a general practice, or one over several of either, as the configuration says.

A list is a caseload of its own. Where teams share one, the tables that caseloads are made of name the list in the
teams' place; features are made of the tables as they are.
"""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from features.frames import query
from pipelines.config import ListsConfig

NO_PRACTICE = "No practice known"


def grouped(tables: dict[str, pa.Table], lists: ListsConfig) -> dict[str, pa.Table]:
    """The tables with the list's id in place of the team's, in referrals and contacts: a row for each list that the
    team or practice is on. A referral that names no team names no list."""
    if lists.group_by == "team" and not lists.groups:
        return tables
    return tables | {name: _renamed(tables, name, lists) for name in ("referrals", "contacts")}


def list_ids(lists: ListsConfig) -> set[str]:
    """The lists that the configuration names, whether or not anybody is on them."""
    inside = {unit for units in lists.groups.values() for unit in units}
    return {*lists.groups, *(set(lists.team_names) - inside if lists.group_by == "team" else ())}


def teams_on(list_id: str, teams: Iterable[str], lists: ListsConfig) -> list[str]:
    """Those of `teams` that look after a list together; none where the list is one team's."""
    if lists.group_by == "practice":
        return sorted(set(teams))
    return sorted(set(teams) & set(lists.groups.get(list_id, ())))


def _renamed(tables: dict[str, pa.Table], name: str, lists: ListsConfig) -> pa.Table:
    pairs = [(unit, group) for group, units in lists.groups.items() for unit in units]
    places = pd.DataFrame(pairs, columns=["unit", "list_id"], dtype="string")
    unit = "o.team_id" if lists.group_by == "team" else f"coalesce(h.practice, '{NO_PRACTICE}')"
    sql = f"""
        with homes as (
            select person_id, arg_max(practice_code, struct_pack(k := known_from, r := row_id)) as practice
            from people group by person_id
        )
        select o.* replace (case when o.team_id is not null then coalesce(p.list_id, {unit}) end as team_id)
        from {name} o left join homes h on h.person_id = o.person_id left join places p on p.unit = {unit}"""
    return query(sql, places=places, people=tables["people"], **{name: tables[name]})
