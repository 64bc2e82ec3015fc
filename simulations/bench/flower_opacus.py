"""One program of (c): the same rounds in Flower's simulation engine, each hospital training with Opacus.

Set up as Flower's example for Opacus does it: a ClientApp per hospital makes model, optimiser and loader
private with a PrivacyEngine and trains one local epoch per record; the ServerApp averages weights (FedAvg).
Its guarantee is weaker than the study's: per record, and each round's engine accounts for that round alone.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation.run_simulation import run_simulation
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE, LEARNING_RATE = 64, 0.1


def main(folder: str, rounds: int) -> None:
    """Run ``rounds`` rounds over the hospitals that ``noshow.export`` wrote to ``folder``."""
    hospitals = len(np.load(Path(folder) / "hospitals.npy")) - 1
    logging.getLogger("flwr").setLevel(logging.ERROR)
    run_simulation(
        server_app=server(folder, rounds),
        client_app=client(folder),
        num_supernodes=hospitals,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )


def server(folder: str, rounds: int) -> ServerApp:
    """Average the weights of all hospitals."""
    app = ServerApp()

    @app.main()
    def run(grid: Grid, context: Context) -> None:
        strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=2)
        strategy.start(grid, ArrayRecord(model_of(folder).state_dict()), num_rounds=rounds)

    return app


def client(folder: str) -> ClientApp:
    """Train one private epoch on the node's own hospital."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        module = model_of(folder)
        module.load_state_dict(message.content["arrays"].to_torch_state_dict())  # type: ignore[union-attr]
        records = dataset(folder, int(str(context.node_config["partition-id"])))
        trained = train_privately(module, records, facts(folder)) if len(records) else module
        content = {
            "arrays": ArrayRecord(trained.state_dict()),
            "metrics": MetricRecord({"num-examples": max(len(records), 1)}),
        }
        return Message(RecordDict(content), reply_to=message)  # type: ignore[arg-type]

    return app


def train_privately(module: nn.Module, records: TensorDataset, about: dict[str, float]) -> nn.Module:
    """Take one epoch of DP-SGD per record by Opacus's PrivacyEngine."""
    from opacus import PrivacyEngine

    loader = DataLoader(records, batch_size=min(BATCH_SIZE, len(records)), shuffle=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE, momentum=0.9)
    private, optimizer, loader = PrivacyEngine(secure_mode=False).make_private(
        module=module,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=about["noise_multiplier"],
        max_grad_norm=about["clip_norm"],
    )
    private.train()
    for rows, labels in loader:
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(private(rows)[:, 0], labels).backward()
        optimizer.step()
    inner: nn.Module = private._module
    return inner


def model_of(folder: str) -> nn.Module:
    """Give the study's additive model, as a linear layer over dense rows."""
    module = nn.Linear(int(facts(folder)["width"]), 1, bias=False)
    nn.init.zeros_(module.weight)
    return module


def facts(folder: str) -> dict[str, float]:
    """Read the study's public numbers."""
    read: dict[str, float] = json.loads((Path(folder) / "facts.json").read_text(encoding="utf-8"))
    return read


def dataset(folder: str, hospital: int) -> TensorDataset:
    """Read one hospital's records: dense scaled rows [events, width] and labels [events]."""
    about, first = facts(folder), np.load(Path(folder) / "hospitals.npy")
    own = slice(int(first[hospital]), int(first[hospital + 1]))
    columns = np.load(Path(folder) / "columns.npy", mmap_mode="r")[own]
    rows = np.zeros((len(columns), int(about["width"])), np.float32)
    np.put_along_axis(rows, columns.astype(np.int64), np.float32(about["scale"]), axis=1)
    labels = np.load(Path(folder) / "labels.npy", mmap_mode="r")[own].astype(np.float32)
    return TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
