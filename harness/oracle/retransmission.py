from harness.oracle.backoff import LEAST_TIMEOUT_US as LEAST_TIMEOUT_US, RETRIES as RETRIES
from harness.oracle import established, replay
from harness.oracle.effects import Effect
from harness.oracle.prediction import Machine, Prediction, Settings


def predict(
    settings: Settings, machine: Machine, effects: tuple[Effect, ...], written_ns: int, horizon_ns: int
) -> Prediction:
    return established.predict(settings, machine, effects, horizon_ns, writes_ns=(written_ns,))


def longest_ns(settings: Settings, machine: Machine) -> int:
    return replay.longest_ns(settings, machine.hz)
