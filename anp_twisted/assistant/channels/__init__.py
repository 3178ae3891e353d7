"""
Chat channels: what stands between a chat service and the assistant.

L{interface<anp_twisted.assistant.channels.interface>} says what a channel is, the
other modules are what all of them share: who may write, pairing, the durable
outbox and its worker.
"""
