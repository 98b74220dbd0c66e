//! What Hugging Face calls the weights of the models' layers.

use std::borrow::Cow;

/// How paths become the names in a file. A model calls its layers as Hugging Face does wherever a layer is one there too; what
/// remains are the parts of blocks, and weights that are several there.
#[derive(Debug)]
pub(super) struct Names {
    /// The first step of paths, which names in files have or lack.
    prefix: &'static str,
    /// Parts of paths, and what stands in their place: several where the weight is those, one after the other along its first axis.
    parts: &'static [(&'static str, &'static [&'static str])],
    /// Parts of the names of weights that are (in, out) there.
    transposed: &'static [&'static str],
    /// Ends of the paths of parameters that are not there, and so are 0.
    absent: &'static [&'static str],
    /// Parts of the names of tensors that a model may do without.
    unneeded: &'static [&'static str],
}

/// Where the value of a parameter is found.
pub(super) struct Source {
    /// One name, or several that make it one after the other along the first axis. None: it is 0.
    pub(super) names: Vec<String>,
    /// Whether the tensors are (in, out).
    pub(super) transposed: bool,
}

pub(super) const GPT2: Names = Names {
    prefix: "transformer.",
    parts: &[
        (".self_attn.in_proj_", &[".attn.c_attn."]),
        (".self_attn.out_proj.", &[".attn.c_proj."]),
        (".linear1.", &[".mlp.c_fc."]),
        (".linear2.", &[".mlp.c_proj."]),
        (".norm1.", &[".ln_1."]),
        (".norm2.", &[".ln_2."]),
    ],
    // Their layers are `Conv1D`.
    transposed: &[".c_attn.weight", ".c_proj.weight", ".c_fc.weight"],
    unneeded: &[".attn.bias", ".attn.masked_bias", "lm_head.weight"],
    absent: &[],
};

pub(super) const LLAMA: Names = Names {
    prefix: "model.",
    parts: &[
        (".self_attn.in_proj_", &[".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."]),
        (".self_attn.out_proj.", &[".self_attn.o_proj."]),
        (".gate.", &[".mlp.gate_proj."]),
        (".linear1.", &[".mlp.up_proj."]),
        (".linear2.", &[".mlp.down_proj."]),
        (".norm1.", &[".input_layernorm."]),
        (".norm2.", &[".post_attention_layernorm."]),
    ],
    transposed: &[],
    absent: &[],
    unneeded: &[".rotary_emb.inv_freq", "lm_head.weight"],
};

/// Queries, keys and values have biases, the output of attention has none.
pub(super) const QWEN2: Names = Names { absent: &[".self_attn.out_proj.bias"], ..LLAMA };

pub(super) const BERT: Names = Names {
    prefix: "bert.",
    parts: &[
        (".self_attn.in_proj_", &[".attention.self.query.", ".attention.self.key.", ".attention.self.value."]),
        (".self_attn.out_proj.", &[".attention.output.dense."]),
        (".linear1.", &[".intermediate.dense."]),
        (".linear2.", &[".output.dense."]),
        (".norm1.", &[".attention.output.LayerNorm."]),
        (".norm2.", &[".output.LayerNorm."]),
    ],
    transposed: &[],
    absent: &[],
    // Buffers, and heads that are not asked for.
    unneeded: &["embeddings.position_ids", "embeddings.token_type_ids", "pooler.", "cls.", "classifier."],
};

pub(super) const VIT: Names = Names {
    prefix: "vit.",
    parts: &[
        (".cls_token.weight", &[".cls_token"]),
        (".position_embeddings.weight", &[".position_embeddings"]),
        (
            ".self_attn.in_proj_",
            &[".attention.attention.query.", ".attention.attention.key.", ".attention.attention.value."],
        ),
        (".self_attn.out_proj.", &[".attention.output.dense."]),
        (".linear1.", &[".intermediate.dense."]),
        (".linear2.", &[".output.dense."]),
        (".norm1.", &[".layernorm_before."]),
        (".norm2.", &[".layernorm_after."]),
    ],
    transposed: &[],
    absent: &[],
    unneeded: &["pooler."],
};

impl Names {
    /// Where a file has the parameter of this path, by names with the prefix.
    pub(super) fn source(&self, path: &str) -> Source {
        if self.absent.iter().any(|end| path.ends_with(end)) {
            return Source { names: Vec::new(), transposed: false };
        }
        let mut names = vec![path.to_owned()];
        for (ours, theirs) in self.parts.iter().filter(|(ours, _)| path.contains(ours)) {
            names = names.iter().flat_map(|name| theirs.iter().map(|part| name.replacen(ours, part, 1))).collect();
        }
        let transposed = self.transposed.iter().any(|part| names[0].ends_with(part));
        Source { names, transposed }
    }

    /// A name as a file may have it: without the prefix, and as the first versions of BERT called the factors of normalizations.
    pub(super) fn found<'n>(&self, name: &'n str, has: impl Fn(&str) -> bool) -> Option<Cow<'n, str>> {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        let old = |name: &str| {
            let (layer, factor) = name.rsplit_once("LayerNorm.")?;
            Some(format!("{layer}LayerNorm.{}", if factor == "weight" { "gamma" } else { "beta" }))
        };
        let spellings = [Some(name.into()), Some(bare.into()), old(name).map(Cow::from), old(bare).map(Cow::from)];
        spellings.into_iter().flatten().find(|name| has(name))
    }

    /// Whether a model may do without the tensor of this name.
    pub(super) fn is_unneeded(&self, name: &str) -> bool {
        self.unneeded.iter().any(|part| name.ends_with(part) || name.contains(part) && part.ends_with('.'))
    }
}
