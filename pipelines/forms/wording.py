"""What every form says of what it is for."""

PURPOSE = (
    "A prompt for your clinical judgement: someone here may be getting worse before it shows. The figures are for one "
    "thing, an emergency hospital admission within nine days."
)
NOT_FOR = (
    "Not a triage order, and not a reason to cancel or delay anyone’s visit. People who are not listed may still be at "
    "risk."
)
