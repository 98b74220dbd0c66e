//! What Hugging Face calls the weights of the models' layers.

use std::borrow::Cow;

/// How the paths of a model become the names in a file. Most layers of a model have Hugging Face's names. The others are renamed here: the
/// parts of blocks, and weights that are several tensors in the file.
#[derive(Debug)]
pub(super) struct Names {
    /// What all paths begin with. The names in a file may begin with it or not.
    prefix: &'static str,
    /// What follows the prefix in paths of heads, whose names in a file are without the prefix.
    heads: &'static [&'static str],
    /// Parts of paths, and what replaces them. If a part has several names, the weight is these tensors, joined along the first axis.
    parts: &'static [&'static [Part]],
    /// The ends of the names of weights that are (in, out) in the file.
    transposed: &'static [&'static str],
    /// The ends of the paths of parameters that files do not have. These are 0.
    absent: &'static [&'static str],
    /// Parts of the names of tensors that the model does not need.
    unneeded: &'static [&'static str],
}

/// A part of a path, and what it is in a file.
type Part = (&'static str, &'static [&'static str]);

/// Where the value of a parameter is found.
pub(super) struct Source {
    /// The names of the tensors. Several are joined along the first axis. If there is none, the parameter is 0.
    pub(super) names: Vec<String>,
    /// Whether the tensor is (in, out).
    pub(super) transposed: bool,
}

pub(super) const GPT2: Names = Names {
    prefix: "transformer.",
    heads: &[],
    parts: &[&[
        (".self_attn.in_proj_", &[".attn.c_attn."]),
        (".self_attn.out_proj.", &[".attn.c_proj."]),
        (".linear1.", &[".mlp.c_fc."]),
        (".linear2.", &[".mlp.c_proj."]),
        (".norm1.", &[".ln_1."]),
        (".norm2.", &[".ln_2."]),
    ]],
    // These layers are of the class `Conv1D`.
    transposed: &[".c_attn.weight", ".c_proj.weight", ".c_fc.weight"],
    unneeded: &[".attn.bias", ".attn.masked_bias", "lm_head.weight"],
    absent: &[],
};

pub(super) const LLAMA: Names = Names {
    prefix: "model.",
    heads: &[],
    parts: &[&[
        (".self_attn.in_proj_", &[".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."]),
        (".self_attn.out_proj.", &[".self_attn.o_proj."]),
        (".gate.", &[".mlp.gate_proj."]),
        (".linear1.", &[".mlp.up_proj."]),
        (".linear2.", &[".mlp.down_proj."]),
        (".norm1.", &[".input_layernorm."]),
        (".norm2.", &[".post_attention_layernorm."]),
    ]],
    transposed: &[],
    absent: &[],
    unneeded: &[".rotary_emb.inv_freq", "lm_head.weight"],
};

/// Queries, keys and values have biases; the output of attention has none.
pub(super) const QWEN2: Names = Names { absent: &[".self_attn.out_proj.bias"], ..LLAMA };

/// What BERT and vision transformers have in common.
const ENCODER: &[Part] = &[
    (".self_attn.out_proj.", &[".attention.output.dense."]),
    (".linear1.", &[".intermediate.dense."]),
    (".linear2.", &[".output.dense."]),
];

pub(super) const BERT: Names = Names {
    prefix: "bert.",
    heads: &["cls.", "classifier."],
    parts: &[
        ENCODER,
        &[
            (".self_attn.in_proj_", &[".attention.self.query.", ".attention.self.key.", ".attention.self.value."]),
            (".norm1.", &[".attention.output.LayerNorm."]),
            (".norm2.", &[".output.LayerNorm."]),
        ],
    ],
    transposed: &[],
    absent: &[],
    // Buffers, and heads that the model was not built with.
    unneeded: &["embeddings.position_ids", "embeddings.token_type_ids", "pooler.", "cls.", "classifier."],
};

pub(super) const VIT: Names = Names {
    prefix: "vit.",
    heads: &[],
    parts: &[
        ENCODER,
        &[
            (".cls_token.weight", &[".cls_token"]),
            (".position_embeddings.weight", &[".position_embeddings"]),
            (
                ".self_attn.in_proj_",
                &[".attention.attention.query.", ".attention.attention.key.", ".attention.attention.value."],
            ),
            (".norm1.", &[".layernorm_before."]),
            (".norm2.", &[".layernorm_after."]),
        ],
    ],
    transposed: &[],
    absent: &[],
    unneeded: &["pooler."],
};

impl Names {
    /// The names, with the prefix but for heads, that a file has for the parameter of this path.
    pub(super) fn source(&self, path: &str) -> Source {
        if self.absent.iter().any(|end| path.ends_with(end)) {
            return Source { names: Vec::new(), transposed: false };
        }
        let head = path.strip_prefix(self.prefix).filter(|path| self.heads.iter().any(|head| path.starts_with(head)));
        let mut names = vec![head.unwrap_or(path).to_owned()];
        for (ours, theirs) in self.parts.iter().copied().flatten().filter(|(ours, _)| path.contains(ours)) {
            names = names.iter().flat_map(|name| theirs.iter().map(|part| name.replacen(ours, part, 1))).collect();
        }
        let transposed = self.transposed.iter().any(|part| names[0].ends_with(part));
        Source { names, transposed }
    }

    /// The spelling of a name that a file has: with or without the prefix, and with `gamma` and `beta`, as the first versions of BERT
    /// called the weight and bias of a normalization.
    pub(super) fn found<'n>(&self, name: &'n str, has: impl Fn(&str) -> bool) -> Option<Cow<'n, str>> {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        let old = |name: &str| {
            let (layer, factor) = name.rsplit_once("LayerNorm.")?;
            Some(format!("{layer}LayerNorm.{}", if factor == "weight" { "gamma" } else { "beta" }))
        };
        let spellings = [Some(name.into()), Some(bare.into()), old(name).map(Cow::from), old(bare).map(Cow::from)];
        spellings.into_iter().flatten().find(|name| has(name))
    }

    /// Whether the model does not need the tensor of this name.
    pub(super) fn is_unneeded(&self, name: &str) -> bool {
        self.unneeded.iter().any(|part| name.ends_with(part) || name.contains(part) && part.ends_with('.'))
    }
}
