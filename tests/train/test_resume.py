import pytest

from orchestrator.config import RunConfig, dump_config, parse_config
from orchestrator.errors import CheckpointError
from orchestrator.train.rebuild import rebuild_network
from orchestrator.train.resume import check_resume
from orchestrator.train.state import TrainState

DECODER = "test decoder 1"


def changed(config: RunConfig, *overrides: str) -> RunConfig:
    return parse_config(dump_config(config), list(overrides))


def test_the_same_configuration_may_go_on(state: TrainState, config: RunConfig) -> None:
    check_resume(state, config, DECODER)


def test_what_changes_no_number_may_change(state: TrainState, config: RunConfig) -> None:
    other = changed(
        config,
        "train.threads=2",
        "collective.engine=horovod",
        "run.dir=elsewhere",
        "train.max_steps=50",
        "slice.backend=reference",
    )
    check_resume(state, other, DECODER)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.seed=8", r"train\.seed \(was 7, now 8\)"),
        ("train.ghost_batch=16", r"train\.ghost_batch \(was 32, now 16\)"),
        ("lr_schedule.base_lr=0.2", r"lr_schedule\.base_lr \(was 0\.1, now 0\.2\)"),
        ("optimizer.name=sgd", r"optimizer\.name \(was 'lars', now 'sgd'\)"),
        ("model.bn_momentum=1/3", r"model\.bn_momentum \(was 0\.1, now 1/3\)"),
    ],
)
def test_what_changes_numbers_is_named(
    state: TrainState, config: RunConfig, override: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        check_resume(state, changed(config, override), DECODER)


def test_all_differing_keys_are_named(state: TrainState, config: RunConfig) -> None:
    other = changed(config, "train.seed=8", "optimizer.eta=0.5")
    with pytest.raises(CheckpointError, match=r"(?s)train\.seed.*optimizer\.eta"):
        check_resume(state, other, DECODER)


def test_another_decoder_is_named_and_can_be_allowed(state: TrainState, config: RunConfig) -> None:
    with pytest.raises(CheckpointError, match="decoded by test decoder 1, here it is decoder 2"):
        check_resume(state, config, "decoder 2")
    check_resume(state, config, "decoder 2", allow_other_decoder=True)


def test_a_configuration_of_another_version_is_refused(
    state: TrainState, config: RunConfig
) -> None:
    state.config_text += "future: 1\n"
    with pytest.raises(CheckpointError, match="not one of this version: future: unknown key"):
        check_resume(state, config, DECODER)


def test_the_network_follows_from_the_checkpoint(state: TrainState) -> None:
    state.config_text = state.config_text.replace("classes: 10", "classes: null")
    assert rebuild_network(state).output_shape == (10,)
