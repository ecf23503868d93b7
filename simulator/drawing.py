"""Draws the company of a seed: the same seed gives the same people, calls, recordings and events."""

from random import Random

from simulator.audio_wav import seconds_of_size
from simulator.call_plans import RING_SECONDS, CallPlan, Planner
from simulator.company import Company, Extension
from simulator.options import SimulatorOptions
from simulator.people import draw_extensions

#: business seconds after which RingCentral lists a finished call (facts 4.3).
APPEARS_AFTER = (15.0, 30.0)
#: business seconds until insights come: 5 to 25 minutes, so that an hour of history holds everything.
INSIGHTS_AFTER = (300.0, 1500.0)
#: business seconds until AI Notes make the first of two events.
NOTES_AFTER = (60.0, 280.0)
#: business seconds after which a late recording, or a queue's final state, is written.
REWRITTEN_AFTER = (60.0, 600.0)
#: business seconds until audio can be fetched.
AUDIO_AFTER = (5.0, 90.0)
#: shortest recorded call: RingCentral keeps no recording below 30 s (facts 4.2).
RECORDED_SECONDS = (34.0, 360.0)

#: people of the other account; each of them makes one call.
NEIGHBOURS = 3

#: how often each kind of call happens; the first round of a company has every kind once.
SHAPES = {
    "plain": 50,
    "notes": 14,
    "late": 8,
    "queue": 8,
    "second_recording": 5,
    "transfer": 5,
    "unrecorded": 12,
    "short": 4,
}
#: recordings that a call of that shape makes, where it is not one.
RECORDINGS_OF_SHAPE = {"second_recording": 2, "transfer": 2, "unrecorded": 0, "short": 0}


def draw_company(options: SimulatorOptions, start: float) -> tuple[Company, Planner]:
    """The company whose calls begin at ``start``; the planner goes on with the same chance for later calls."""
    rng = Random(options.seed)
    company = Company(options.account_id, draw_extensions(rng, options.extensions, options.licensed_share))
    planner = Planner(company, rng)
    for shape in _draw_shapes(rng, options.recordings):
        planner.carry_out(_draw_plan(rng, shape, options, company.extensions, start))
    if size := options.extra_recording_bytes:
        # It may be hours long: it ends when the calls begin, so that nobody waits for it.
        began = start - seconds_of_size(size) - RING_SECONDS
        extra = CallPlan(extension=company.extensions[0], started_at=began, seconds=0, bytes=size)
        planner.carry_out(extra)
    return company, planner


def draw_neighbour(options: SimulatorOptions, start: float) -> Company:
    """Another account's company: a few calls with a recording and insights, and nothing in common."""
    rng = Random(f"{options.seed}/neighbour")
    company = Company(options.foreign_account_id, draw_extensions(rng, NEIGHBOURS, options.licensed_share))
    planner = Planner(company, rng)
    for extension in company.extensions:
        planner.carry_out(_draw_plan(rng, "plain", options, [extension], start))
    return company


def _draw_shapes(rng: Random, recordings: int) -> list[str]:
    """Shapes that make exactly that many recordings."""
    shapes: list[str] = []
    first_round = list(SHAPES)
    left = recordings
    while left > 0:
        shape = first_round.pop(0) if first_round else rng.choices(list(SHAPES), list(SHAPES.values()))[0]
        if RECORDINGS_OF_SHAPE.get(shape, 1) > left:
            continue
        shapes.append(shape)
        left -= RECORDINGS_OF_SHAPE.get(shape, 1)
    rng.shuffle(shapes)
    return shapes


def _draw_plan(
    rng: Random, shape: str, options: SimulatorOptions, extensions: list[Extension], start: float
) -> CallPlan:
    extension = rng.choice(extensions)
    recorded = RECORDINGS_OF_SHAPE.get(shape, 1) > 0
    seconds = round(rng.uniform(*_seconds_of(shape)), 3)
    parts = 2 if shape == "transfer" else 1
    insights_after = round(rng.uniform(*INSIGHTS_AFTER), 3)
    notes_after = round(rng.uniform(*NOTES_AFTER), 3)
    licensed = recorded and extension.licensed
    return CallPlan(
        extension=extension,
        started_at=round(start + rng.uniform(0, max(0.0, options.span - seconds * parts)), 3),
        seconds=seconds,
        recorded=recorded,
        short_recording=shape == "short",
        wav=rng.random() < options.wav_share,
        vbr=options.vbr_share > 0 and rng.random() < options.vbr_share,  # drawn only then: seeds keep their calls.
        second_recording=shape == "second_recording",
        transfer=shape == "transfer",
        queue=shape == "queue",
        appears_after=rng.uniform(*APPEARS_AFTER),
        recording_after=rng.uniform(*REWRITTEN_AFTER) if shape in {"late", "queue"} else None,
        audio_after=rng.uniform(*AUDIO_AFTER),
        notes_after=notes_after if licensed and shape == "notes" else None,
        insights_after=insights_after if licensed else None,
    )


def _seconds_of(shape: str) -> tuple[float, float]:
    if shape == "short":
        return 20.0, 29.0
    return (20.0, 360.0) if shape == "unrecorded" else RECORDED_SECONDS
