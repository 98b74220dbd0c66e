//! One call of PyTorch's database, as `xtask/fixtures/opinfo.py` writes it.

use kiln::prelude::*;
use kiln::tensor::Device;
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;

/// An argument.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    None,
    Flag(bool),
    Number(f64),
    Text(String),
    Tensor(Var),
    List(Vec<Arg>),
}

/// A call with what it must give.
pub(super) struct Case {
    /// The operation, and its variant after a bar.
    pub(super) name: String,
    /// The call as the file has it, for reports.
    pub(super) line: String,
    args: Vec<Arg>,
    kwargs: BTreeMap<String, Arg>,
    /// The float tensors among the arguments, in order.
    pub(super) leaves: Vec<Var>,
    pub(super) outputs: Vec<Tensor>,
    /// What the float tensors were rounded to.
    pub(super) rounded: DType,
    /// The gradients of the leaves.
    pub(super) gradients: Vec<Option<Tensor>>,
}

/// The file of tensors, and where they are to be.
pub(super) struct Tensors<'a>(pub(super) SafeTensors<'a>, pub(super) Device);

impl Tensors<'_> {
    fn get(&self, value: &Value) -> Tensor {
        let view = self.0.tensor(value["t"].as_str().unwrap()).unwrap();
        let (shape, device) = (view.shape(), self.1.clone());
        let eights = || view.data().chunks_exact(8).map(|b| <[u8; 8]>::try_from(b).unwrap());
        match view.dtype() {
            safetensors::Dtype::F64 => {
                Tensor::from_vec(eights().map(f64::from_le_bytes).collect::<Vec<_>>(), shape, &device)
            }
            safetensors::Dtype::I64 => {
                Tensor::from_vec(eights().map(i64::from_le_bytes).collect::<Vec<_>>(), shape, &device)
            }
            safetensors::Dtype::I32 => {
                let numbers = view.data().chunks_exact(4).map(|b| i64::from(i32::from_le_bytes(b.try_into().unwrap())));
                Tensor::from_vec(numbers.collect::<Vec<_>>(), shape, &device)
            }
            safetensors::Dtype::U8 => Tensor::from_vec(view.data().to_vec(), shape, &device),
            safetensors::Dtype::BOOL => {
                Tensor::from_vec(view.data().iter().map(|&b| b != 0).collect::<Vec<_>>(), shape, &device)
            }
            other => panic!("a fixture of {other:?}"),
        }
        .unwrap()
    }
}

impl Case {
    /// The call, with its float tensors rounded to one dtype and then in another.
    pub(super) fn read(line: &str, tensors: &Tensors<'_>, dtype: [DType; 2]) -> Self {
        let call: Value = serde_json::from_str(line).unwrap();
        let mut leaves = Vec::new();
        let mut argument = |value: &Value| read(value, tensors, dtype, &mut leaves);
        let mut args = vec![argument(&call["input"])];
        args.extend(call["args"].as_array().unwrap().iter().map(&mut argument));
        // In the file's order, which is that of the gradients.
        let kwargs = kwargs_in_order(line, &call).into_iter().map(|(k, v)| (k, argument(&v))).collect();
        let known = |list: &Value| list.as_array().unwrap().clone();
        let gradient = |value: &Value| (!value.is_null()).then(|| tensors.get(value));
        let variant = call["variant"].as_str().unwrap();
        let bar = if variant.is_empty() { "" } else { "|" };
        Case {
            name: format!("{}{bar}{variant}", call["op"].as_str().unwrap()),
            line: line.into(),
            args,
            kwargs,
            leaves,
            rounded: dtype[0],
            outputs: known(&call["outputs"]).iter().map(|value| tensors.get(value)).collect(),
            gradients: known(&call["gradients"]).iter().map(gradient).collect(),
        }
    }

    /// The argument at a position, counted from the input at 0, or of a name.
    pub(super) fn arg(&self, at: usize, name: &str) -> &Arg {
        self.args.get(at).or_else(|| self.kwargs.get(name)).unwrap_or(&Arg::None)
    }

    /// The argument of a name.
    pub(super) fn named(&self, name: &str) -> &Arg {
        self.arg(usize::MAX, name)
    }

    /// The input.
    pub(super) fn x(&self) -> &Var {
        self.args[0].var()
    }

    /// The argument at a position.
    pub(super) fn at(&self, position: usize) -> &Arg {
        self.arg(position, "")
    }
}

impl Arg {
    pub(super) fn var(&self) -> &Var {
        self.optional().unwrap_or_else(|| panic!("not a tensor: {self:?}"))
    }
    pub(super) fn optional(&self) -> Option<&Var> {
        if let Arg::Tensor(var) = self { Some(var) } else { None }
    }
    pub(super) fn number(&self, default: f64) -> f64 {
        match self {
            Arg::Number(number) => *number,
            Arg::Text(text) if text == "inf" => f64::INFINITY,
            Arg::Text(text) if text == "-inf" => f64::NEG_INFINITY,
            // A number as a tensor has no axes.
            Arg::Tensor(var) if var.shape().rank() == 0 => {
                var.tensor().to_f64_vec().unwrap().first().copied().unwrap_or(default)
            }
            Arg::Flag(flag) => f64::from(u8::from(*flag)),
            _ => default,
        }
    }
    pub(super) fn int(&self, default: isize) -> isize {
        self.number(default as f64) as isize
    }
    pub(super) fn flag(&self, default: bool) -> bool {
        self.number(f64::from(u8::from(default))) != 0.0
    }
    pub(super) fn text(&self) -> Option<&str> {
        if let Arg::Text(text) = self { Some(text) } else { None }
    }
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Arg::None)
    }
    pub(super) fn list(&self) -> &[Arg] {
        if let Arg::List(list) = self { list } else { panic!("not a list: {self:?}") }
    }
    /// The numbers of a list; one number is a list of one.
    pub(super) fn ints(&self) -> Option<Vec<isize>> {
        match self {
            Arg::List(list) => Some(list.iter().map(|item| item.int(0)).collect()),
            Arg::Number(number) => Some(vec![*number as isize]),
            _ => None,
        }
    }
    pub(super) fn sizes(&self) -> Option<Vec<usize>> {
        Some(self.ints()?.into_iter().map(|size| size as usize).collect())
    }
    pub(super) fn vars(&self) -> Vec<&Var> {
        self.list().iter().map(Arg::var).collect()
    }
}

fn read(value: &Value, tensors: &Tensors<'_>, dtype: [DType; 2], leaves: &mut Vec<Var>) -> Arg {
    match value {
        Value::Null => Arg::None,
        Value::Bool(flag) => Arg::Flag(*flag),
        Value::Number(number) => Arg::Number(number.as_f64().unwrap()),
        Value::String(text) => Arg::Text(text.clone()),
        Value::Array(list) => Arg::List(list.iter().map(|item| read(item, tensors, dtype, leaves)).collect()),
        Value::Object(_) => {
            let tensor = tensors.get(value);
            if !tensor.dtype().is_float() {
                return Arg::Tensor(Var::constant(tensor));
            }
            let [rounded, dtype] = dtype.map(|dtype| move |tensor: &Tensor| tensor.to_dtype(dtype).unwrap());
            let var = Var::variable(dtype(&rounded(&tensor)));
            leaves.push(var.clone());
            Arg::Tensor(var)
        }
    }
}

/// The call's keyword arguments as the line has them: a map of serde_json goes by name.
fn kwargs_in_order(line: &str, call: &Value) -> Vec<(String, Value)> {
    let text = &line[line.find("\"kwargs\":").unwrap()..];
    let kwargs = call["kwargs"].as_object().unwrap();
    let mut found: Vec<(String, Value)> = kwargs.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    found.sort_by_key(|(name, _)| text.find(&format!("\"{name}\":")).unwrap());
    found
}
