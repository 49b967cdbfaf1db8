//! What a pickle may call, and the result.
//!
//! The list is one of functions, not of libraries: PyTorch and NumPy have functions that execute their arguments. Listed
//! functions rebuild values; only dictionaries and tensors are really made, for other values only their type is recorded.
use std::fmt::{self, Display, Formatter};

use super::{Machine, PthError, Strided, Value, dtype};
use intrada_weights::shown::Shown;

/// Functions and classes that a file may call, by module. Besides PyTorch's and NumPy's own values these are the containers
/// and records of Python's library that trainings save.
const ALLOWED: &[(&str, &[&str])] = &[
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    ("collections", &["Counter", "OrderedDict", "defaultdict", "deque"]),
    ("copyreg", &["__newobj__", "__newobj_ex__", "_reconstructor"]),
    ("datetime", &["date", "datetime", "time", "timedelta", "timezone"]),
    ("decimal", &["Decimal"]),
    ("fractions", &["Fraction"]),
    ("pathlib", PATHS),
    ("pathlib._local", PATHS),
    ("types", &["SimpleNamespace"]),
    ("uuid", &["UUID"]),
    (
        "builtins",
        &[
            "bool",
            "bytearray",
            "bytes",
            "complex",
            "dict",
            "float",
            "frozenset",
            "int",
            "list",
            "long",
            "object",
            "range",
            "set",
            "slice",
            "str",
            "tuple",
            "unicode",
            "xrange",
        ],
    ),
    ("torch", &["Generator", "Size", "Tensor", "device", "dtype"]),
    ("torch._tensor", &["_rebuild_from_type", "_rebuild_from_type_v2"]),
    ("torch.nn.parameter", &["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]),
    ("torch.serialization", &["_get_layout"]),
    ("torch.storage", &["TypedStorage", "UntypedStorage"]),
    ("torch.torch_version", &["TorchVersion"]),
    ("numpy", &["dtype", "ndarray"]),
    ("numpy.core.multiarray", ARRAYS),
    ("numpy._core.multiarray", ARRAYS),
    ("numpy.core.numeric", &["_frombuffer"]),
    ("numpy._core.numeric", &["_frombuffer"]),
    ("numpy.ma.core", &["_mareconstruct"]),
    ("numpy.random", &["__RandomState_ctor", "__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"]),
    ("numpy.random.bit_generator", &["__pyx_unpickle_SeedSequence", "__pyx_unpickle_SeedlessSequence"]),
    ("numpy.random._pickle", &["__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"]),
];

const PATHS: &[&str] = &["Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"];
const ARRAYS: &[&str] = &["_reconstruct", "scalar"];

/// Functions of `torch._utils` that make a tensor from their arguments. It has others.
const REBUILD: &str = "_rebuild_";

/// No function has more relevant arguments.
const ARGUMENTS_AT_MOST: usize = 8;

/// Whether a file may call this function.
fn is_allowed(module: &str, name: &str) -> bool {
    let module = match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        module => module,
    };
    let listed = ALLOWED.iter().any(|(known, names)| *known == module && names.contains(&name));
    listed || (module == "torch._utils" && name.starts_with(REBUILD))
}

/// Something in place of a readable tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd<'a> {
    /// Elements of an unsupported type.
    Elements(&'a str),
    /// Only the non-zero elements.
    Sparse,
    /// Integers with a scale.
    Quantised,
    /// A shape without elements.
    Meta,
    /// Rows of different lengths.
    Nested,
    /// Not PyTorch's.
    Numpy,
    /// Elements without a shape.
    Storage,
    /// A class of tensors with a meaning of its own.
    Class(&'a str, &'a str),
    /// A whole network, as code and values.
    Module(&'a str, &'a str),
    /// Anything else that `torch._utils` can rebuild.
    Rebuilt(&'a str),
}

impl Display for Odd<'_> {
    /// What it is, and what to do.
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Odd::Elements(name) => write!(f, "a tensor of `{}`, which no network here has", Shown(name)),
            Odd::Sparse => f.write_str("a sparse tensor; save `tensor.to_dense()`"),
            Odd::Quantised => {
                f.write_str("a quantised tensor; save `tensor.dequantize()`, or the network before it was quantised")
            }
            Odd::Meta => f.write_str("a tensor of the device `meta`, which has a shape and no elements"),
            Odd::Nested => f.write_str("a nested tensor; save `tensor.to_padded_tensor(0)`"),
            Odd::Numpy => f.write_str("a NumPy array; save `torch.from_numpy(array)`"),
            Odd::Storage => f.write_str("a storage, which has elements and no shape; save the tensor"),
            Odd::Class(module, name) => {
                let (module, name) = (Shown(module), Shown(name));
                write!(
                    f,
                    "a tensor of the class `{module}.{name}`, whose elements may have another meaning; save an ordinary tensor"
                )
            }
            Odd::Module(module, name) => {
                let (module, name) = (Shown(module), Shown(name));
                write!(
                    f,
                    "a whole network of the class `{module}.{name}`, which contains code; save `model.state_dict()`"
                )
            }
            Odd::Rebuilt(function) => write!(f, "made by `torch._utils.{}`, which is not read here", Shown(function)),
        }
    }
}

/// An object of an unknown class: its name, and the dictionary that it may be.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    module: &'a str,
    name: &'a str,
    pub(super) dict: usize,
    /// Whether its fields are those of `torch.nn.Module`.
    is_network: bool,
}

impl<'a> Machine<'a> {
    /// The description of a value that is not a readable tensor.
    pub(in crate::pth) fn odd(&self, value: Value<'a>) -> Option<Odd<'a>> {
        match value {
            Value::Odd(odd) => Some(odd),
            Value::Storage(_) => Some(Odd::Storage),
            Value::Object(id) => {
                let Object { module, name, is_network, .. } = self.objects[id];
                is_network.then_some(Odd::Module(module, name))
            }
            _ => None,
        }
    }

    /// Calls a function or class with arguments.
    ///
    /// # Errors
    /// The call is not allowed.
    pub(super) fn call(&mut self, callee: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, PthError> {
        let Value::Global(module, name) = callee else {
            return Err(PthError::Broken("it calls something that is not a function"));
        };
        if !is_allowed(module, name) {
            return Err(PthError::Call { module: module.to_owned(), name: name.to_owned() });
        }
        let Some(arguments) = self.items(arguments) else { return Ok(Value::Opaque) };
        let arguments: Vec<Value<'a>> = arguments.iter().take(ARGUMENTS_AT_MOST).copied().collect();
        match (module, name) {
            ("collections", "OrderedDict" | "Counter") => self.dict_of(arguments.first()),
            ("collections", "defaultdict") => self.dict_of(arguments.get(1)),
            ("builtins" | "__builtin__", "dict") => self.dict_of(arguments.first()),
            ("torch._utils", name) => self.rebuilt(name, &arguments),
            ("torch._tensor", _) => self.of_type(&arguments),
            // The tensor, and whether it is trained.
            ("torch.nn.parameter", "Parameter" | "Buffer") => Ok(first(&arguments)),
            ("torch.nn.parameter", _) => Ok(Value::Odd(Odd::Meta)),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") | ("numpy.ma.core", _) => {
                Ok(Value::Odd(Odd::Numpy))
            }
            ("numpy.core.numeric" | "numpy._core.numeric", _) => Ok(Value::Odd(Odd::Numpy)),
            // From Python 2 and protocols 0 and 1: the class comes first.
            ("copyreg" | "copy_reg", _) => Ok(arguments.first().map_or(Value::Opaque, |class| self.object(*class))),
            _ => Ok(Value::Opaque),
        }
    }

    /// Makes an object of a class without calling a function.
    pub(super) fn object(&mut self, class: Value<'a>) -> Value<'a> {
        match class {
            Value::Global("collections", "OrderedDict" | "Counter" | "defaultdict") => self.dict(Vec::new()),
            Value::Global(module, name) => {
                let Value::Dict(dict) = self.dict(Vec::new()) else { return Value::Opaque };
                self.objects.push(Object { module, name, dict, is_network: false });
                Value::Object(self.objects.len() - 1)
            }
            _ => Value::Opaque,
        }
    }

    /// Sets an object's fields: those of a network identify it.
    pub(super) fn build(&mut self, object: Value<'a>, fields: Value<'a>) -> Result<(), PthError> {
        if let Value::Object(id) = object {
            self.work(self.entries(fields).len())?;
            let is_parameters = |(key, _): &(Value<'a>, Value<'a>)| matches!(key, Value::Text("_parameters"));
            self.objects[id].is_network |= self.entries(fields).iter().any(is_parameters);
        }
        Ok(())
    }

    fn rebuilt(&mut self, function: &'a str, arguments: &[Value<'a>]) -> Result<Value<'a>, PthError> {
        Ok(match function {
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" => self.strided(arguments)?,
            // The tensor, whether it is trained, hooks, Python's attributes; or the tensor, its type and its device.
            "_rebuild_parameter" | "_rebuild_parameter_with_state" | "_rebuild_device_tensor_from_cpu_tensor" => {
                first(arguments)
            }
            "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => Value::Odd(Odd::Sparse),
            "_rebuild_qtensor" => Value::Odd(Odd::Quantised),
            "_rebuild_meta_tensor_no_storage" => Value::Odd(Odd::Meta),
            "_rebuild_nested_tensor" => Value::Odd(Odd::Nested),
            "_rebuild_device_tensor_from_numpy" | "_rebuild_xla_tensor" => Value::Odd(Odd::Numpy),
            "_rebuild_wrapper_subclass" => match first(arguments) {
                Value::Global(module, name) => Value::Odd(Odd::Class(module, name)),
                _ => Value::Odd(Odd::Rebuilt(function)),
            },
            function => Value::Odd(Odd::Rebuilt(function)),
        })
    }

    /// A function that returns a tensor, the tensor's class, the function's arguments and Python's attributes. The function
    /// is called like any other.
    fn of_type(&mut self, arguments: &[Value<'a>]) -> Result<Value<'a>, PthError> {
        let [function, class, inner, ..] = arguments else {
            return Err(PthError::Broken("a tensor of a class without the class"));
        };
        // A pickle can nest one in another, and even in itself.
        if matches!(function, Value::Global("torch._tensor", _)) {
            return Err(PthError::Broken("a tensor of a class of a class"));
        }
        let made = self.call(*function, *inner)?;
        Ok(match (made, *class) {
            (Value::Tensor(_), Value::Global("torch", "Tensor") | Value::Global("torch.nn.parameter", _)) => made,
            (Value::Tensor(_), Value::Global(module, name)) => Value::Odd(Odd::Class(module, name)),
            (made, _) => made,
        })
    }

    /// Storage, offset, shape, strides, whether it is trained, hooks, and in the third version the element type, since then
    /// storages have no type of their own.
    fn strided(&mut self, arguments: &[Value<'a>]) -> Result<Value<'a>, PthError> {
        let [Value::Storage(id), Value::Int(offset), shape, strides, rest @ ..] = arguments else {
            return Err(PthError::Broken("a tensor without a storage"));
        };
        let storage = self.storages[*id];
        let elements = match rest {
            [_, _, Value::Global("torch", name), ..] => name,
            _ => storage.class,
        };
        let Some(dtype) = dtype(elements) else { return Ok(Value::Odd(Odd::Elements(elements))) };
        let offset = usize::try_from(*offset).ok().and_then(|offset| offset.checked_add(storage.offset));
        self.tensors.push(Strided {
            storage: storage.key,
            dtype,
            offset: offset.ok_or(PthError::Broken("an offset below 0"))?,
            shape: self.sizes(*shape)?,
            strides: self.sizes(*strides)?,
        });
        Ok(Value::Tensor(self.tensors.len() - 1))
    }

    /// A dictionary of these pairs, as Python 2 passed them to `OrderedDict`, or of another dictionary's.
    fn dict_of(&mut self, from: Option<&Value<'a>>) -> Result<Value<'a>, PthError> {
        let pairs = match from {
            Some(Value::Dict(id)) => {
                self.work(self.dicts[*id].len())?;
                self.dicts[*id].clone()
            }
            Some(Value::Sequence(id)) => {
                self.work(self.sequences[*id].len())?;
                let pair = |value: &Value<'a>| match self.items(*value) {
                    Some(&[key, value]) => Ok((key, value)),
                    _ => Err(PthError::Broken("a dictionary of things that are not pairs")),
                };
                self.sequences[*id].iter().map(pair).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        Ok(self.dict(pairs))
    }
}

fn first<'a>(arguments: &[Value<'a>]) -> Value<'a> {
    arguments.first().copied().unwrap_or(Value::Opaque)
}
