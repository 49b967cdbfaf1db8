//! A graph that grows node by node: names, constants, and the operations that everything is made of.
//!
//! Knows no network. A node's name says the part of the network that it belongs to, as profilers show it. Constants of the same
//! value are one. The order of nodes is that in which they are added, which is one in which they can be computed.

use std::collections::HashMap;

use bytes::Bytes;
use half::f16;

use crate::proto::{AttributeProto, AttributeType, DataType, GraphProto, NodeProto, TensorProto};

/// A tensor of the graph, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value(pub(crate) String);

/// The precision of the network's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Single,
    Half,
}

impl Precision {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Precision::Single => DataType::Float,
            Precision::Half => DataType::Float16,
        }
    }
}

/// The graph so far.
pub(crate) struct Graph {
    pub(crate) precision: Precision,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    /// What the nodes added now belong to.
    part: String,
    /// How often each name was given.
    given: HashMap<String, usize>,
    /// Constants by type, shape and bytes.
    constants: HashMap<(DataType, Vec<i64>, Bytes), Value>,
}

impl Graph {
    pub(crate) fn new(precision: Precision) -> Graph {
        let (nodes, initializers, part) = (Vec::new(), Vec::new(), String::new());
        Graph { precision, nodes, initializers, part, given: HashMap::new(), constants: HashMap::new() }
    }

    pub(crate) fn finish(self, name: &str) -> GraphProto {
        let Graph { nodes, initializers, .. } = self;
        GraphProto { name: name.to_owned(), node: nodes, initializer: initializers, ..GraphProto::default() }
    }

    /// The nodes of `add` belong to `part`.
    pub(crate) fn within<T>(&mut self, part: &str, add: impl FnOnce(&mut Graph) -> T) -> T {
        let before = self.part.clone();
        self.part = if before.is_empty() { part.to_owned() } else { format!("{before}/{part}") };
        let added = add(self);
        self.part = before;
        added
    }

    /// Adds an operation with one result.
    pub(crate) fn op(&mut self, kind: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        self.split(kind, inputs, attributes, 1).remove(0)
    }

    /// Adds an operation with `count` results.
    pub(crate) fn split(
        &mut self,
        kind: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        count: usize,
    ) -> Vec<Value> {
        let name = if self.part.is_empty() { kind.to_owned() } else { format!("{}/{kind}", self.part) };
        let name = self.unique(&name);
        let results: Vec<String> = match count {
            1 => vec![name.clone()],
            _ => (0..count).map(|place| format!("{name}:{place}")).collect(),
        };
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|input| input.0.clone()).collect(),
            output: results.clone(),
            name,
            op_type: kind.to_owned(),
            attribute: attributes,
        });
        results.into_iter().map(Value).collect()
    }

    /// Gives the last result this name, by which the graph's user knows it.
    pub(crate) fn output(&mut self, kind: &str, inputs: &[&Value], attributes: Vec<AttributeProto>, name: &str) {
        let value = self.op(kind, inputs, attributes);
        let node = self.nodes.last_mut().expect("a node was just added");
        debug_assert_eq!(node.output, [value.0]);
        node.output = vec![name.to_owned()];
    }

    fn unique(&mut self, name: &str) -> String {
        let count = self.given.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}_{count}") }
    }

    /// Adds a tensor under a name of its own; `name` is the trained tensor's, so that it is found again.
    pub(crate) fn tensor(&mut self, name: &str, data_type: DataType, shape: &[usize], bytes: Bytes) -> Value {
        let name = self.unique(name);
        let dims = shape.iter().map(|&side| side as i64).collect();
        self.initializers.push(TensorProto { dims, data_type: data_type as i32, name: name.clone(), raw_data: bytes });
        Value(name)
    }

    /// Numbers of the network, in its precision.
    pub(crate) fn numbers(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes: Vec<u8> = match self.precision {
            Precision::Single => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Precision::Half => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        };
        self.tensor(name, self.precision.data_type(), shape, bytes.into())
    }

    fn constant(&mut self, data_type: DataType, shape: &[usize], bytes: Vec<u8>) -> Value {
        let key = (data_type, shape.iter().map(|&side| side as i64).collect(), Bytes::from(bytes));
        if let Some(value) = self.constants.get(&key) {
            return value.clone();
        }
        let value = self.tensor("constant", data_type, shape, key.2.clone());
        self.constants.insert(key, value.clone());
        value
    }

    /// Integers in a row: a shape, axes, positions.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Value {
        self.constant(DataType::Int64, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// A single integer, of no dimension.
    pub(crate) fn int(&mut self, value: i64) -> Value {
        self.constant(DataType::Int64, &[], value.to_le_bytes().into())
    }

    /// A small integer for arithmetic on pixels.
    pub(crate) fn int32(&mut self, value: i32) -> Value {
        self.constant(DataType::Int32, &[], value.to_le_bytes().into())
    }

    /// A number in double precision, for positions of pixels.
    pub(crate) fn double(&mut self, value: f64) -> Value {
        self.constant(DataType::Double, &[], value.to_le_bytes().into())
    }

    /// A number in single precision.
    pub(crate) fn single(&mut self, value: f32) -> Value {
        self.constant(DataType::Float, &[], value.to_le_bytes().into())
    }

    /// A number in the network's precision.
    pub(crate) fn own(&mut self, value: f32) -> Value {
        match self.precision {
            Precision::Single => self.single(value),
            Precision::Half => self.constant(DataType::Float16, &[], f16::from_f32(value).to_le_bytes().into()),
        }
    }

    /// A number for each channel of N×C×H×W, in single precision.
    pub(crate) fn per_channel(&mut self, values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Float, &[values.len(), 1, 1], bytes)
    }

    pub(crate) fn unary(&mut self, kind: &str, x: &Value) -> Value {
        self.op(kind, &[x], vec![])
    }

    pub(crate) fn binary(&mut self, kind: &str, a: &Value, b: &Value) -> Value {
        self.op(kind, &[a, b], vec![])
    }

    pub(crate) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Add", a, b)
    }

    pub(crate) fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Sub", a, b)
    }

    pub(crate) fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Mul", a, b)
    }

    pub(crate) fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Div", a, b)
    }

    pub(crate) fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("MatMul", a, b)
    }

    pub(crate) fn cast(&mut self, x: &Value, to: DataType) -> Value {
        self.op("Cast", &[x], vec![int("to", to as i64)])
    }

    pub(crate) fn choose(&mut self, when: &Value, yes: &Value, no: &Value) -> Value {
        self.op("Where", &[when, yes, no], vec![])
    }

    pub(crate) fn concat(&mut self, parts: &[&Value], axis: i64) -> Value {
        self.op("Concat", parts, vec![int("axis", axis)])
    }

    pub(crate) fn gather(&mut self, x: &Value, at: &Value, axis: i64) -> Value {
        self.op("Gather", &[x, at], vec![int("axis", axis)])
    }

    pub(crate) fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.op("Transpose", &[x], vec![ints("perm", order)])
    }

    /// `shape`: 0 keeps a side, −1 is what remains.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.reshape_to(x, &shape)
    }

    pub(crate) fn reshape_to(&mut self, x: &Value, shape: &Value) -> Value {
        self.op("Reshape", &[x, shape], vec![])
    }

    /// The part of `x` along `axis` from one position to before another, each an integer in a row of one.
    pub(crate) fn slice(&mut self, x: &Value, from: &Value, to: &Value, axis: i64) -> Value {
        let axis = self.ints(&[axis]);
        self.op("Slice", &[x, from, to, &axis], vec![])
    }

    /// A side of `x`, as a row of one integer.
    pub(crate) fn side(&mut self, x: &Value, axis: i64) -> Value {
        let (shape, axis) = (self.unary("Shape", x), self.ints(&[axis]));
        self.gather(&shape, &axis, 0)
    }

    /// 0, 1, … before `count`, a row of one integer.
    pub(crate) fn range(&mut self, count: &Value) -> Value {
        let axis = self.ints(&[0]);
        let (begin, end, step) = (self.int(0), self.op("Squeeze", &[count, &axis], vec![]), self.int(1));
        self.op("Range", &[&begin, &end, &step], vec![])
    }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// An attribute with some integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

/// An attribute with a number.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// An attribute with a word.
pub(crate) fn word(name: &str, value: &'static str) -> AttributeProto {
    AttributeProto { s: Some(Bytes::from_static(value.as_bytes())), ..attribute(name, AttributeType::String) }
}

fn attribute(name: &str, of: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: of as i32, ..AttributeProto::default() }
}

/// An input that is left out.
pub(crate) fn nothing() -> Value {
    Value(String::new())
}
