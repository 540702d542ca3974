"""Write the models that fastai and Lightning save, with their own scores, in float64.

Made with Python 3.11, torch 2.13.0, fastai 2.8.12 and pytorch_lightning 2.6.6:

    pip install torch==2.13.0 fastai==2.8.12 pytorch_lightning==2.6.6
    python write.py
"""

import argparse
import functools
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytorch_lightning as lightning
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config
from fastai.text.models.core import get_text_classifier
from torch import nn

HERE = Path(__file__).parent


class Texts(list):
    """As small as fastai lets a dataset be."""

    def new_empty(self):
        return Texts()


def save_fastai() -> dict:
    """A text classifier of AWD-LSTM, as `learn.export` and `learn.save` write it."""
    torch.manual_seed(0)
    sizes = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}
    model = get_text_classifier(
        AWD_LSTM, 20, 3, config=awd_lstm_clas_config | sizes, lin_ftrs=[5]
    ).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-0.9, 0.9)  # fastai's own are near 0
        for name, value in model.named_buffers():
            if "running" in name:
                value.uniform_(0.5, 2)
    texts = Texts((torch.randint(2, 20, (7,)), torch.tensor(k % 3)) for k in range(8))
    loaders = DataLoaders(DataLoader(texts, bs=4), DataLoader(texts, bs=4))
    with TemporaryDirectory() as folder:
        learner = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), path=folder)
        learner.create_opt()
        learner.save(HERE / "fastai_saved")
        model.eval()
        model.reset()
        ids = torch.randint(2, 20, (4, 7))
        with torch.no_grad():
            scores = model(ids)[0]
        learner.export(HERE / "fastai_exported.pkl")
    return {"ids": ids.tolist(), "scores": scores.tolist()}


class Tagged(lightning.LightningModule):
    """A series, one LSTM, its last step, two classes; settings of all kinds."""

    def __init__(self, hidden, settings, activation, inner):
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.ModuleDict(
            {"lstm": nn.LSTM(4, hidden, batch_first=True), "fc": nn.Linear(hidden, 2)}
        )
        self.criterion = nn.CrossEntropyLoss(torch.ones(2))

    def forward(self, series):
        return self.model["fc"](self.model["lstm"](series)[0][:, -1])

    def training_step(self, batch, number):
        series, classes = batch
        return self.criterion(self(series), classes)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


def save_lightning() -> dict:
    """A checkpoint, as a Trainer writes it after two steps."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    module = Tagged(
        5,
        argparse.Namespace(rate=1e-3, sizes=[1, 2]),
        functools.partial(nn.functional.leaky_relu, negative_slope=0.2),
        nn.LSTM(2, 2),
    )
    series = torch.randn(8, 6, 4)
    data = torch.utils.data.TensorDataset(series, torch.arange(8) % 2)
    with TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=1, logger=False, accelerator="cpu", default_root_dir=folder
        )
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=4))
        trainer.save_checkpoint(HERE / "lightning.ckpt")
    torch.save(module.eval(), HERE / "lightning_whole.pt")
    with torch.no_grad():
        return {"series": series.tolist(), "scores": module(series).tolist()}


if __name__ == "__main__":
    found = {"fastai": save_fastai(), "lightning": save_lightning()}
    (HERE / "expected.json").write_text(json.dumps(found) + "\n")
