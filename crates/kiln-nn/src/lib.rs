//! Layers, initialisers, losses, the Module and Layer traits, Sequential, and safetensors files.
