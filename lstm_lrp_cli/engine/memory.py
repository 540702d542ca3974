"""What a forward pass takes of memory."""

from lstm_lrp_cli.model.layers import Dense, Embedding, Lstm, Scale
from lstm_lrp_cli.model.model import Model


def row_bytes(model: Model) -> int:
    """About what the engine's arrays take for each step of each sequence."""
    values = 0
    for layer in model.layers:
        match layer:
            case Embedding():
                values += layer.weights.shape[1]
            case Lstm():
                values += sum(5 * cell.hidden_size + cell.input_size for cell in layer.cells)
            case Dense():
                values += 3 * len(layer.weights)
            case Scale():
                values += 3 * len(layer.factors)
    return max(values, 1) * model.dtype.itemsize
