"""Codes that the simulated trust writes."""

CODES = {
    "news2": "1104051000000101",
    "weight": "27113001",
    "height": "50373000",
    "pain": "225908003",
    "waterlow": "443731006",
    "frailty": "1129331000000101",
    "wound_worse": "262552000",
    "respiratory_rate": "86290005",
    "oxygen_saturation": "431314004",
    "systolic": "271649006",
    "pulse": "364075005",
    "temperature": "386725007",
    "confusion": "130987000",
}
"""SNOMED CT concepts; a mapping that reads these extracts needs the same ones."""

URGENT, SPECIALIST_WOUND, CASE_MANAGEMENT, END_OF_LIFE, INTEGRATED, NURSING = "51", "43", "19", "14", "45", "12"
INTERMEDIATE, HOSPITAL_AT_HOME = "53", "49"
"""Hospital at home has no national team type; local teams write urgent care's."""

LATER_PAIN_CODE = "1153364009"
"""What pain scores are written under once their usual code is no longer used."""

HEART_FAILURE, LUNG_DISEASE, NAMED = range(3)
DIAGNOSES = (
    *("I50", "J44", "E11", "F03", "I48", "N18", "I69", "G20"),
    *("M81", "L97", "I25", "C61", "I10", "F32", "M17", "J45"),
)
"""ICD-10 categories of long-term conditions; the first `NAMED` bear on a person's course."""

ADMISSION_DIAGNOSES = ("J189", "N390", "A419", "I500", "J440", "S720", "R296", "I639", "L031", "K590", "E86X", "R410")

EMERGENCY_METHODS = ("21", "22", "24", "2A", "2D", "28")
EMERGENCY_METHOD_SHARES = (0.80, 0.07, 0.03, 0.03, 0.04, 0.03)
ELECTIVE_METHODS = ("11", "12", "13")

ETHNIC_CATEGORIES = ("A", "B", "C", "F", "H", "J", "K", "L", "M", "N", "R", "S", "Z")
ETHNIC_SHARES = (0.74, 0.03, 0.06, 0.01, 0.04, 0.02, 0.01, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01)

REFERRAL_SOURCES = ("01", "02", "06", "09", "12")
REFERRAL_REASONS = ("003", "014", "025", "047", "061")
END_OF_LIFE_REASON = "100"
CLOSURE_REASONS = ("01", "02", "03")
DEATH_REASON, MOVED_REASON = "04", "05"

NO_UNITS = ("12", "kilos", "KG.", "per visit")
"""Units that resolve to nothing."""

PLANNED, ATTENDED, LATE_SEEN, LATE_NOT_SEEN, NO_ACCESS, PATIENT_CANCELLED, PROVIDER_CANCELLED = range(7)
ATTENDANCE = ("0", "5", "6", "7", "3", "2", "4", "00", "05", "06", "07", "03", "02", "04")
"""Attendance status by the numbers above; the second half are the same codes padded with a zero."""

VISIT, UNSCHEDULED, CALL, NOTE, LIAISON, ERROR = range(6)
"""Kinds of contact."""
KINDS = ("visit", "unscheduled", "call", "note", "liaison", "error")

MECHANISMS = ("01", "02", "11", "05", "1", "2", "11", "5")
FACE_TO_FACE, TELEPHONE, VIDEO, MESSAGE = range(4)

LOCATIONS = ("A01", "G01", "G02", "C01")
"""Activity location type; accommodation status uses the first three."""
