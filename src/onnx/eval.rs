//! Computes small graphs, for tests: the operators around a network, in no more than the arithmetic that their results need.
//!
//! Numbers are held in double precision and rounded to single where their type says so. Not a runtime: the networks themselves are
//! compared in ONNX Runtime, in tests/it.

use std::collections::HashMap;

use crate::proto::{DataType, GraphProto, NodeProto, TensorProto};

/// Numbers with a shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) of: DataType,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Array {
    pub(crate) fn new(of: DataType, shape: &[usize], values: impl IntoIterator<Item = f64>) -> Array {
        let array = Array { of, shape: shape.to_vec(), values: values.into_iter().collect() };
        assert_eq!(array.values.len(), shape.iter().product::<usize>(), "{shape:?}");
        array
    }

    fn like(&self, shape: &[usize], values: Vec<f64>) -> Array {
        Array::new(self.of, shape, values)
    }

    fn map(&self, of: DataType, change: impl Fn(f64) -> f64) -> Array {
        Array::new(of, &self.shape, self.values.iter().map(|value| rounded(of, change(*value))))
    }

    fn ints(&self) -> Vec<i64> {
        self.values.iter().map(|value| *value as i64).collect()
    }
}

fn rounded(of: DataType, value: f64) -> f64 {
    match of {
        DataType::Float => f64::from(value as f32),
        _ => value,
    }
}

/// The value of this name, with these inputs.
pub(crate) fn value(graph: &GraphProto, inputs: &[(&str, Array)], name: &str) -> Array {
    let mut known: HashMap<String, Array> =
        inputs.iter().map(|(name, array)| ((*name).to_owned(), array.clone())).collect();
    known.extend(graph.initializer.iter().map(|tensor| (tensor.name.clone(), stored(tensor))));
    for node in &graph.node {
        let inputs: Vec<&Array> = node.input.iter().map(|input| &known[input]).collect();
        let results = computed(node, &inputs);
        known.extend(node.output.iter().cloned().zip(results));
    }
    known.remove(name).expect("a value of the graph")
}

fn stored(tensor: &TensorProto) -> Array {
    let of = DataType::try_from(tensor.data_type).expect("a known type");
    let bytes = &tensor.raw_data;
    let values: Vec<f64> = match of {
        DataType::Float => bytes.as_chunks().0.iter().map(|chunk| f64::from(f32::from_le_bytes(*chunk))).collect(),
        DataType::Double => bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect(),
        DataType::Int32 => bytes.as_chunks().0.iter().map(|chunk| f64::from(i32::from_le_bytes(*chunk))).collect(),
        DataType::Int64 => bytes.as_chunks().0.iter().map(|chunk| i64::from_le_bytes(*chunk) as f64).collect(),
        other => panic!("no test has constants of {other:?}"),
    };
    Array::new(of, &tensor.dims.iter().map(|side| *side as usize).collect::<Vec<_>>(), values)
}

fn computed(node: &NodeProto, x: &[&Array]) -> Vec<Array> {
    let int =
        |name: &str| node.attribute.iter().find(|attribute| attribute.name == name).and_then(|attribute| attribute.i);
    let axis = |rank: usize| int("axis").map_or(0, |axis| axis.rem_euclid(rank as i64) as usize);
    let is_whole = x.first().is_some_and(|x| matches!(x.of, DataType::Int32 | DataType::Int64));
    let own = x.first().map_or(DataType::Float, |x| x.of);
    let one = match node.op_type.as_str() {
        "Add" => both(own, x, |a, b| a + b),
        "Sub" => both(own, x, |a, b| a - b),
        "Mul" => both(own, x, |a, b| a * b),
        "Div" => both(own, x, |a, b| if is_whole { (a / b).trunc() } else { a / b }),
        "Mod" => both(own, x, |a, b| a.rem_euclid(b)),
        "Max" => both(own, x, f64::max),
        "Min" => both(own, x, f64::min),
        "Less" => both(DataType::Bool, x, |a, b| f64::from(a < b)),
        "Greater" => both(DataType::Bool, x, |a, b| f64::from(a > b)),
        "Equal" => both(DataType::Bool, x, |a, b| f64::from(a == b)),
        "And" => both(DataType::Bool, x, |a, b| a * b),
        "Or" => both(DataType::Bool, x, f64::max),
        "Not" => x[0].map(own, |a| 1.0 - a),
        "Floor" => x[0].map(own, f64::floor),
        "Round" => x[0].map(own, f64::round_ties_even),
        "Abs" => x[0].map(own, f64::abs),
        "Sign" => x[0].map(own, |a| if a == 0.0 { 0.0 } else { a.signum() }),
        "Clip" => x[0].map(own, |a| a.clamp(x[1].values[0], x[2].values[0])),
        "Cast" => {
            let to = DataType::try_from(int("to").expect("a type") as i32).expect("a known type");
            x[0].map(to, |a| if matches!(to, DataType::Int32 | DataType::Int64) { a.trunc() } else { a })
        }
        "Where" => {
            let chosen = both(DataType::Double, &[x[0], x[1]], |when, yes| if when > 0.0 { yes } else { f64::NAN });
            both(x[1].of, &[&chosen, x[2]], |chosen, no| if chosen.is_nan() { no } else { chosen })
        }
        "Shape" => Array::new(DataType::Int64, &[x[0].shape.len()], x[0].shape.iter().map(|side| *side as f64)),
        "Range" => {
            let count = x[1].values[0] as usize;
            Array::new(own, &[count], (0..count).map(|value| value as f64))
        }
        "Squeeze" => x[0].like(&[], x[0].values.clone()),
        "Unsqueeze" => {
            let mut shape = x[0].shape.clone();
            shape.insert(x[1].values[0] as usize, 1);
            x[0].like(&shape, x[0].values.clone())
        }
        "Reshape" => reshaped(x[0], &x[1].ints()),
        "Concat" => joined(x, axis(x[0].shape.len())),
        "Gather" => gathered(x[0], x[1], axis(x[0].shape.len())),
        "Transpose" => {
            let order = &node.attribute[0].ints;
            transposed(x[0], &order.iter().map(|axis| *axis as usize).collect::<Vec<_>>())
        }
        "Slice" => sliced(x[0], x[1].ints(), x[2].ints(), &x[3].ints()),
        "ReduceSum" => summed(x[0], x[1].values[0] as usize, int("keepdims") != Some(0)),
        "MatMul" => product(x[0], x[1]),
        "Split" => {
            let axis = axis(x[0].shape.len()) as i64;
            let mut from = 0;
            let part = |size: &i64| {
                from += size;
                sliced(x[0], vec![from - size], vec![from], &[axis])
            };
            return x[1].ints().iter().map(part).collect();
        }
        other => panic!("no test has {other}"),
    };
    vec![one]
}

/// Each index of a shape, in order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..shape.iter().product()).map(move |mut place| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = place % shape[axis];
            place /= shape[axis];
        }
        index
    })
}

/// The value at an index of a shape to which it is broadcast.
fn at(x: &Array, index: &[usize]) -> f64 {
    x.values[place(&x.shape, index)]
}

/// The place in an array of a shape, of an index of a shape to which it is broadcast.
fn place(shape: &[usize], index: &[usize]) -> usize {
    let skipped = index.len() - shape.len();
    shape.iter().zip(&index[skipped..]).fold(0, |place, (side, at)| place * side + at.min(&(side - 1)))
}

fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let side = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank).map(|axis| side(a, axis).max(side(b, axis))).collect()
}

fn both(of: DataType, x: &[&Array], change: impl Fn(f64, f64) -> f64) -> Array {
    let shape = broadcast(&x[0].shape, &x[1].shape);
    let values = indices(&shape).map(|index| rounded(of, change(at(x[0], &index), at(x[1], &index))));
    Array::new(of, &shape, values.collect::<Vec<_>>())
}

fn reshaped(x: &Array, to: &[i64]) -> Array {
    let mut shape: Vec<usize> = to
        .iter()
        .enumerate()
        .map(|(axis, side)| if *side == 0 { x.shape[axis] } else { side.unsigned_abs() as usize })
        .collect();
    if let Some(axis) = to.iter().position(|side| *side == -1) {
        shape[axis] = 1;
        shape[axis] = x.values.len() / shape.iter().product::<usize>();
    }
    x.like(&shape, x.values.clone())
}

fn joined(x: &[&Array], axis: usize) -> Array {
    let mut shape = x[0].shape.clone();
    shape[axis] = x.iter().map(|part| part.shape[axis]).sum();
    let value = |mut index: Vec<usize>| {
        let mut parts = x.iter();
        let mut part = parts.next().expect("a part");
        while index[axis] >= part.shape[axis] {
            index[axis] -= part.shape[axis];
            part = parts.next().expect("the parts make up the whole");
        }
        at(part, &index)
    };
    x[0].like(&shape, indices(&shape).map(value).collect())
}

fn gathered(x: &Array, places: &Array, axis: usize) -> Array {
    let shape = [&x.shape[..axis], &places.shape, &x.shape[axis + 1..]].concat();
    let value = |index: Vec<usize>| {
        let place = at(places, &index[axis..axis + places.shape.len()]) as usize;
        at(x, &[&index[..axis], &[place], &index[axis + places.shape.len()..]].concat())
    };
    x.like(&shape, indices(&shape).map(value).collect())
}

fn transposed(x: &Array, order: &[usize]) -> Array {
    let shape: Vec<usize> = order.iter().map(|axis| x.shape[*axis]).collect();
    let value = |index: Vec<usize>| {
        let mut own = vec![0; order.len()];
        order.iter().zip(index).for_each(|(axis, at)| own[*axis] = at);
        at(x, &own)
    };
    x.like(&shape, indices(&shape).map(value).collect())
}

fn sliced(x: &Array, from: Vec<i64>, to: Vec<i64>, axes: &[i64]) -> Array {
    let (mut shape, mut begin) = (x.shape.clone(), vec![0; x.shape.len()]);
    for ((from, to), axis) in from.into_iter().zip(to).zip(axes) {
        let axis = *axis as usize;
        let end = x.shape[axis].min(to as usize);
        (begin[axis], shape[axis]) = (from as usize, end - from as usize);
    }
    let value = |index: Vec<usize>| at(x, &index.iter().zip(&begin).map(|(at, begin)| at + begin).collect::<Vec<_>>());
    x.like(&shape, indices(&shape).map(value).collect())
}

fn summed(x: &Array, axis: usize, is_kept: bool) -> Array {
    let mut shape = x.shape.clone();
    shape[axis] = 1;
    let sum = |index: Vec<usize>| {
        let mut index = index;
        (0..x.shape[axis])
            .map(|place| {
                index[axis] = place;
                at(x, &index)
            })
            .sum::<f64>()
    };
    let values = indices(&shape).map(sum).collect();
    if !is_kept {
        shape.remove(axis);
    }
    x.like(&shape, values)
}

/// Sums in double precision: what it computes is meant to be exact in single.
fn product(a: &Array, b: &Array) -> Array {
    let (rows, inner) = (a.shape[a.shape.len() - 2], a.shape[a.shape.len() - 1]);
    let columns = b.shape[b.shape.len() - 1];
    let outer = broadcast(&a.shape[..a.shape.len() - 2], &b.shape[..b.shape.len() - 2]);
    let mut values = Vec::with_capacity(outer.iter().product::<usize>() * rows * columns);
    for index in indices(&outer) {
        let matrix = |x: &Array| place(&x.shape[..x.shape.len() - 2], &index);
        let (left, right) = (&a.values[matrix(a) * rows * inner..], &b.values[matrix(b) * inner * columns..]);
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            values.push((0..inner).map(|k| left[row * inner + k] * right[k * columns + column]).sum());
        }
    }
    a.like(&[&outer[..], &[rows, columns]].concat(), values)
}
