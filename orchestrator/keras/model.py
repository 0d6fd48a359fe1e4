"""Models: a network with its weights, trained, evaluated and used through a few methods.

A model does what `regatta train` does for the same settings, bit for bit: `fit` makes a
configuration and hands it with the images to the same trainer. Under mpirun every rank runs the
same program with the same arrays; the ranks share the work of every call and return the same
results.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from orchestrator.collectives import Collective
from orchestrator.config import ModelConfig
from orchestrator.dfp import LOGIT_EXPONENT
from orchestrator.errors import ArgumentError
from orchestrator.keras.arrays import ArrayDataset, check_images, check_labels
from orchestrator.keras.engine import Engine
from orchestrator.keras.history import History, HistoryRecorder
from orchestrator.keras.optimizers import Number, Optimizer, exact_channels, find_optimizer
from orchestrator.keras.settings import Augmentation, Backend, Compiled, Fit, describe_network
from orchestrator.keras.summary import summary_table
from orchestrator.keras.weights import as_floats, from_floats
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.symbolic import Layer, Tensor
from orchestrator.model.zoo import build_network
from orchestrator.train.checkpoint import load_checkpoint, save_checkpoint
from orchestrator.train.evaluation import evaluate
from orchestrator.train.info import INTERRUPTED
from orchestrator.train.keeper import find_checkpoint
from orchestrator.train.progress import ConsoleProgress
from orchestrator.train.rebuild import rebuild_config
from orchestrator.train.setup import Setup, open_loader, replica_settings

Channels = Number | Sequence[Number]
"""One number for all channels, or one for each."""


class Scores(NamedTuple):
    """Result of `evaluate`: mean loss (nats) and share of the images classified right."""

    loss: float
    accuracy: float


class Model:
    """A network from an input tensor to an output tensor, with weights.

    Parameters
    ----------
    inputs
        Made by `Input`, of shape (H, W, C) with H = W.
    outputs
        Output of a `Dense` layer: one logit a class.
    mean, std
        Normalisation of pixels, which count 0 to 1 here: (p / 255 - mean) / std.
    seed
        Of the initial weights and, unless `fit` is given another, of order, augmentation and
        rounding in training.
    name
        In summaries and checkpoints.

    Raises
    ------
    ArgumentError
        If the network is not one that boards can run, or a value is not allowed.
    """

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor,
        *,
        mean: Channels = 0,
        std: Channels = 1,
        seed: int = 0,
        name: str = "model",
    ) -> None:
        graph = build_graph(inputs, outputs)
        self._start(graph, describe_network(graph, name), mean, std, seed)

    @staticmethod
    def from_network(
        name: str,
        *,
        image_size: int,
        classes: int,
        channels: int = 3,
        mean: Channels = 0,
        std: Channels = 1,
        seed: int = 0,
        **options: Any,
    ) -> "Model":
        """Return a model of a known network: "resnet50", "vgg16", "resnet20", ...

        Parameters
        ----------
        name, image_size, classes, channels, options
            As in the section `model` of a configuration.
        mean, std, seed
            As for `Model`.

        Raises
        ------
        ConfigError
            If the name is unknown, or a value does not suit the network.
        ArgumentError
            If an option is unknown.
        """
        known = [field.name for field in dataclasses.fields(ModelConfig)]
        unknown = [option for option in options if option not in known]
        if unknown:
            raise ArgumentError(
                f"from_network: unknown option {unknown[0]!r}; known are {', '.join(known)}"
            )
        network = ModelConfig(
            name=name, image_size=image_size, channels=channels, classes=classes, **options
        )
        model = Model.__new__(Model)
        model._start(build_network(network, classes), network, mean, std, seed)
        return model

    def _start(
        self, graph: Graph, network: ModelConfig, mean: Channels, std: Channels, seed: int
    ) -> None:
        """Set up a model without a board."""
        self.graph = graph
        self.name = network.name
        channels = network.channels
        self._engine = Engine(
            graph,
            network,
            exact_channels("mean", mean, channels),
            exact_channels("std", std, channels),
            seed,
        )

    def compile(
        self,
        optimizer: Optimizer | str = "sgd",
        *,
        label_smoothing: Number = 0,
        backend: Backend = "native",
        threads: int = 1,
        collective: Collective | None = None,
    ) -> None:
        """Choose how the model is trained, and on what.

        Parameters
        ----------
        optimizer
            `SGD(...)`, `LARS(...)`, or "sgd" or "lars" with their defaults.
        label_smoothing
            Share of the target spread evenly over the classes, from 0 to below 1.
        backend
            "native": compiled for this machine; "reference": NumPy, slow.
        threads
            Computing threads of a rank.
        collective
            The ranks; by default those that mpirun started.

        Raises
        ------
        ArgumentError
            If a value is not allowed.
        """
        compiled = Compiled(
            optimizer=find_optimizer(optimizer),
            label_smoothing=label_smoothing,
            backend=backend,
            threads=threads,
        )
        self._engine.compile(compiled, collective)

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        ghost_batch: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        augmentation: Augmentation = "none",
        seed: int | None = None,
        verbose: bool | int = True,
    ) -> History:
        """Train for `epochs` epochs and return what happened.

        A fit goes on where the last one ended if nothing that changes numbers was changed in
        between (batch, number of images, optimizer, seed, ...): two fits of one epoch give the
        bits of one fit of two. Otherwise, and where a learning rate's decay lasts as long as the
        training, it is a new training from the weights the model has.

        Parameters
        ----------
        x
            uint8 [n, h, w, c], pixels 0 to 255.
        y
            Class numbers, [n].
        batch_size
            Images of one step over all ranks, a multiple of `ghost_batch`. The images at the end of
            an epoch that do not fill a batch are left out; each epoch shuffles anew.
        epochs
            Passes over the images, on top of those done before.
        ghost_batch
            Images that share batch-norm statistics and are computed whole by one rank.
        validation_data
            (x, y), evaluated after every epoch.
        augmentation
            "none"; "cifar": pad by 4 pixels, random crop, random flip.
        seed
            Of order, augmentation and rounding; the model's own by default.
        verbose
            Show the progress on standard error.

        Raises
        ------
        ArgumentError
            If an array or a number is not allowed, or the model is not compiled.
        KeyboardInterrupt
            After Ctrl-C, when the step under way is done; the model holds its state, and the next
            fit goes on from there.
        """
        self._check_compiled("fit")
        train = self._data("fit", x, y)
        held_out = ArrayDataset.empty(self.graph.input_shape, len(train.classes))
        if validation_data is not None:
            held_out = self._data("fit: validation_data", *validation_data)
        wanted = Fit(
            samples=len(train),
            eval_samples=len(held_out),
            batch_size=batch_size,
            ghost_batch=ghost_batch,
            epochs=epochs,
            augmentation=augmentation,
        )
        engine = self._engine
        config, resumed = engine.plan(wanted, engine.seed if seed is None else seed)
        if config.lr_schedule.decay == "plateau" and validation_data is None:
            raise ArgumentError("fit: a learning rate with decay plateau needs validation_data")
        shown = verbose and engine.collective.rank == 0
        progress = ConsoleProgress(Console(stderr=True)) if shown else None
        recorder = HistoryRecorder(self.name, progress)
        settings = replica_settings(config, self.graph)
        setup = Setup(self.graph, train.classes, train, held_out, settings)
        summary = engine.train(config, setup, resumed, recorder)
        if summary.reason == INTERRUPTED:
            raise KeyboardInterrupt(f"fit: interrupted after step {summary.steps}")
        return recorder.history

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 32) -> Scores:
        """Return mean loss and accuracy, from exact counts.

        Running statistics and frozen exponents make an image's logits independent of the images
        beside it. Weights that were set, and not trained since, take their exponents from the
        first `batch_size` images given.

        Parameters
        ----------
        x, y
            As for `fit`.
        batch_size
            Images computed at a time.

        Raises
        ------
        ArgumentError
            If an array is not allowed, or the model is not compiled.
        """
        self._check_compiled("evaluate", batch_size)
        data = self._data("evaluate", x, y)
        engine = self._engine
        board = engine.calibrated_board(data.images[:batch_size])
        config = engine.config("evaluate", Fit(samples=len(data), eval_batch=batch_size))
        counts = evaluate(
            board,
            open_loader(config, data, training=False),
            engine.collective,
            samples=len(data),
            classes=len(data.classes),
            batch=batch_size,
        )
        assert counts is not None
        return Scores(counts.loss, counts.top1 / counts.samples)

    def predict(self, x: Any, *, batch_size: int = 32, logits: bool = False) -> NDArray[np.float32]:
        """Return each class's probability for each image, float32 [n, classes].

        Parameters
        ----------
        x, batch_size
            As for `evaluate`.
        logits
            Return the logits instead, exact multiples of 2^-10.

        Raises
        ------
        ArgumentError
            If the array is not allowed, or the model is not compiled.
        """
        self._check_compiled("predict", batch_size)
        images = check_images("predict", x, self.graph.input_shape)
        board = self._engine.calibrated_board(images[:batch_size])
        ranks = self._engine.collective
        found = np.zeros((len(images), *self.graph.output_shape), np.int32)
        for start in range(ranks.rank * batch_size, len(images), ranks.size * batch_size):
            part = slice(start, start + batch_size)
            found[part] = board.logits(images[part])
        ranks.sum_int32(found.reshape(-1))
        values = found.astype(np.float64) * 2.0**LOGIT_EXPONENT
        if logits:
            return values.astype(np.float32)
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return shares.astype(np.float32)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Names of the arrays of `get_weights`: parameters in order, then running statistics."""
        parameters = (parameter.name for parameter in self.graph.parameters)
        return (*parameters, *(buffer.name for buffer in self.graph.buffers))

    def get_weights(self) -> list[NDArray[np.float64]]:
        """Return the parameters and then the running statistics of batch norm, exactly.

        Layouts: convolutions [filters, rows, columns, channels], dense [units, inputs].
        """
        return as_floats(self._engine.state, self.weight_names)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set what `get_weights` returns, rounded half up to multiples of 2^-28.

        The next fit is a new training from these weights.

        Raises
        ------
        ArgumentError
            If the number of arrays or a shape is wrong, or a value is not finite or too large (8
            for parameters, 2^18 for running statistics); the message names the array.
        """
        engine = self._engine
        masters, running = from_floats(engine.state, self.weight_names, weights)
        engine.replace(engine.fresh_state(masters, running), None)

    def save(self, path: str | Path) -> None:
        """Write weights and training state as a checkpoint, which `load` and `regatta` read.

        Raises
        ------
        RunError
            If the file cannot be written.
        """
        if self._engine.collective.rank == 0:
            save_checkpoint(Path(path), self._engine.saved_state(), self.graph)
        self._engine.collective.barrier()

    def load(self, path: str | Path) -> None:
        """Take weights and training state from a checkpoint of the same network.

        Parameters
        ----------
        path
            A checkpoint, of `save` or of `regatta train`, or a run directory.

        Raises
        ------
        CheckpointError
            If it is missing, damaged, or of another network.
        """
        state = load_checkpoint(find_checkpoint(Path(path)), self.graph)
        self._engine.replace(state, rebuild_config(state) if state.step else None)

    def summary(self) -> None:
        """Print the layers with their output shapes, parameters and multiply-accumulates."""
        if self._engine.collective.rank == 0:
            Console().print(summary_table(self.name, self.graph))

    def close(self) -> None:
        """Release the board; it is opened again when needed."""
        self._engine.close()

    def _data(self, call: str, x: Any, y: Any) -> ArrayDataset:
        """Return checked arrays as a data set."""
        classes = self.graph.output_shape[0]
        images = check_images(call, x, self.graph.input_shape)
        return ArrayDataset(images, check_labels(call, y, len(images), classes), classes)

    def _check_compiled(self, call: str, batch_size: int = 1) -> None:
        if self._engine.compiled is None:
            raise ArgumentError(f"{call}: the model is not compiled; call compile first")
        if batch_size < 1:
            raise ArgumentError(f"{call}: batch_size {batch_size} is not allowed; give 1 or more")


class Sequential(Model):
    """A chain of layers.

    Parameters
    ----------
    layers
        The first is an `Input`, the last a `Dense` layer with one unit a class.
    mean, std, seed, name
        As for `Model`.

    Raises
    ------
    ArgumentError
        As `Model`; also if the first of the layers is no `Input`.
    """

    def __init__(
        self,
        layers: Sequence[Tensor | Layer],
        *,
        mean: Channels = 0,
        std: Channels = 1,
        seed: int = 0,
        name: str = "sequential",
    ) -> None:
        if not layers or not isinstance(layers[0], Tensor):
            raise ArgumentError("Sequential: the first of the layers must be Input((H, W, C))")
        outputs = layers[0]
        for layer in layers[1:]:
            if not isinstance(layer, Layer):
                raise ArgumentError(f"Sequential: {layer!r} is no layer")
            outputs = layer(outputs)
        super().__init__(layers[0], outputs, mean=mean, std=std, seed=seed, name=name)
