"""One cell of a gated recurrent unit over a packed batch (Cho et al. 2014).

"Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation".
"""
