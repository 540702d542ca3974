"""What a forward pass takes of memory."""

from lstm_lrp_cli.model.layers import Dense, Embedding, Lstm, Scale
from lstm_lrp_cli.model.model import Model


def row_bytes(model: Model, keep_gates: bool = False) -> int:
    """About what the engine's arrays take for each step of each sequence."""
    values, of_unit = 0, 8 if keep_gates else 5
    for layer in model.layers:
        match layer:
            case Embedding():
                values += layer.weights.shape[1]
            case Lstm():
                values += sum(of_unit * cell.hidden_size + cell.input_size for cell in layer.cells)
            case Dense():
                values += 3 * len(layer.weights)
            case Scale():
                values += 3 * len(layer.factors)
    return max(values, 1) * model.dtype.itemsize
