"""A team's list as a FHIR R4 collection of RiskAssessment (maturity 1, trial use), one for each person listed.

Subjects are named by NHS number, as logical references: no Patient is sent, and nobody's name. Models of R4B are used;
of the resources used here it is R4 unchanged. https://hl7.org/fhir/R4/riskassessment.html
"""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir.resources.R4B.bundle import Bundle

from features.windows import HORIZON_DAYS, shift_days
from pipelines.pages import Person, Stamp, Team

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
PSEUDONYM = "urn:minus-nine:person"
SPACE = uuid.UUID("b6a5a5d4-5a0e-5d0f-9c42-6d696e757339")
"""The name space of this project's resource identifiers."""


def bundle(team: Team, people: Sequence[Person], stamp: Stamp) -> bytes:
    """The bundle as JSON in UTF-8; pydantic's ValidationError, which would be a fault of ours, where it is not valid.

    identifiers are derived from the team, the cut and the person, so that a receiver sees a list again as the same."""
    device = _device(stamp)
    entries = [device, *(_assessment(person, team, stamp, device["id"]) for person in people)]
    told = {
        "resourceType": "Bundle",
        "id": _identifier("list", team.team_id, stamp.as_of.isoformat()),
        "type": "collection",
        "timestamp": _moment(stamp.as_of, stamp),
        "entry": [{"fullUrl": f"urn:uuid:{entry['id']}", "resource": entry} for entry in entries],
    }
    Bundle.model_validate(told)
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


def _device(stamp: Stamp) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "id": _identifier("device", stamp.model_version),
        "status": "active",
        "deviceName": [{"name": "Minus Nine", "type": "user-friendly-name"}],
        "version": [{"value": stamp.model_version}],
    }


def _assessment(person: Person, team: Team, stamp: Stamp, device: str) -> dict[str, Any]:
    """One person's risk. occurrence: what the data reach to; the period: the nine days from the cut."""
    made = {
        "resourceType": "RiskAssessment",
        "id": _identifier("risk", team.team_id, stamp.as_of.isoformat(), str(person.person_id)),
        "status": "final",
        "method": {"text": f"Minus Nine, model {stamp.model_version}"},
        "code": {"text": "Risk of an emergency hospital admission within nine days"},
        "subject": _subject(person),
        "occurrenceDateTime": _moment(stamp.data_as_of, stamp),
        "performer": {"reference": f"urn:uuid:{device}"},
        "prediction": [_prediction(person, stamp)],
        "note": [{"text": text} for text in _notes(person, team, stamp)],
    }
    return made | ({"basis": [{"display": told} for told in basis]} if (basis := _basis(person)) else {})


def _prediction(person: Person, stamp: Stamp) -> dict[str, Any]:
    until = shift_days(stamp.as_of, HORIZON_DAYS, stamp.zone)
    told = {
        "outcome": {"text": "Emergency hospital admission"},
        "probabilityDecimal": _probability(person.risk),
        "qualitativeRisk": {"text": person.risk_in_words},
        "whenPeriod": {"start": _moment(stamp.as_of, stamp), "end": _moment(until, stamp)},
    }
    reasons = {"rationale": "Is associated with: " + "; ".join(person.reasons)} if person.reasons else {}
    return told | reasons


def _basis(person: Person) -> tuple[str, ...]:
    """The recorded facts that the reasons tell of, and the last contact: in words, since their records are not sent."""
    seen = (f"Last seen by this team {person.last_seen}, {person.seen_words}",) if person.last_seen else ()
    return (*person.reasons, *seen)


def _subject(person: Person) -> dict[str, Any]:
    if person.nhs_number:
        value = person.nhs_number.replace(" ", "")
        return {"type": "Patient", "identifier": {"system": NHS_NUMBER, "value": value}}
    value = f"{person.person_id:016x}"
    return {"type": "Patient", "identifier": {"system": PSEUDONYM, "value": value}, "display": "NHS number not held"}


def _notes(person: Person, team: Team, stamp: Stamp) -> tuple[str, ...]:
    place = f"Number {person.rank} on the list of {team.name} for {stamp.day}; out of date from {stamp.valid_words}."
    simulated = ("Simulated: this person does not exist.",) if stamp.simulated else ()
    return (*simulated, *stamp.notes, place, "A prompt for clinical judgement; not a triage order.")


def _probability(risk: float) -> float:
    """To four places, as on the spreadsheet."""
    return round(risk, 4)


def _moment(at: datetime, stamp: Stamp) -> str:
    return at.astimezone(ZoneInfo(stamp.zone)).isoformat(timespec="seconds")


def _identifier(*parts: str) -> str:
    return str(uuid.uuid5(SPACE, "\x1f".join(parts)))
