//! The part of ONNX's protobuf schema that a network needs.
//!
//! Message and field names and numbers are those of the public schema (`onnx.proto3` of the ONNX project, IR version 8). They are
//! written as structs for `prost`, so that a build needs no `protoc` and no copy of the schema; of what is left out (functions,
//! training, sparse tensors, sequences) nothing is written. Knows no network.

use bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

/// `ir_version` of a file with operators of opset 17.
pub(crate) const IR_VERSION: i64 = 8;
/// The version of the operators: the first with `LayerNormalization`, which ONNX Runtime takes from 1.12 on. TensorRT 10 takes those
/// up to 20.
pub(crate) const OPSET: i64 = 17;

/// A file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "6")]
    pub doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// Which operators, by their domain; the empty one is ONNX's own.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A piece of metadata.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// The nodes in an order in which each input is computed before it is used.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// A parameter of an operation. `type` says which of the fields is meant, so that each but the meant one is left out.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub s: Option<Bytes>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub r#type: i32,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    Undefined = 0,
    Float = 1,
    Int = 2,
    String = 3,
    Ints = 7,
}

/// Numbers with a shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(enumeration = "DataType", tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little endian, row by row. Shared with the file that it comes from, as weights can have gigabytes.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
}

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum DataType {
    Undefined = 0,
    Float = 1,
    Uint8 = 2,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
    Float16 = 10,
    Double = 11,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

/// A type: of the kinds of the schema only a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(enumeration = "DataType", tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(oneof = "Side", tags = "1, 2")]
    pub value: Option<Side>,
}

/// A number, or the name of one that each run chooses.
#[derive(Clone, PartialEq, Oneof)]
pub enum Side {
    #[prost(int64, tag = "1")]
    DimValue(i64),
    #[prost(string, tag = "2")]
    DimParam(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dim = |value| Dimension { value: Some(value) };
        let shape = TensorShapeProto { dim: vec![dim(Side::DimParam("N".to_owned())), dim(Side::DimValue(3))] };
        let tensor_type = Some(TensorType { elem_type: DataType::Uint8 as i32, shape: Some(shape) });
        let image =
            ValueInfoProto { name: "image".to_owned(), r#type: Some(TypeProto { tensor_type }), ..Default::default() };
        let axis = AttributeProto {
            name: "axis".to_owned(),
            i: Some(0),
            r#type: AttributeType::Int as i32,
            ..Default::default()
        };
        let node =
            NodeProto { input: vec!["image".to_owned(), String::new()], attribute: vec![axis], ..Default::default() };
        let weight = TensorProto { dims: vec![2], raw_data: Bytes::from_static(&[0, 1, 2, 3]), ..Default::default() };
        let graph =
            GraphProto { node: vec![node], initializer: vec![weight], input: vec![image], ..Default::default() };
        let model = ModelProto { ir_version: IR_VERSION, graph: Some(graph), ..Default::default() };
        assert_eq!(ModelProto::decode(model.encode_to_vec().as_slice()).unwrap(), model);
    }

    #[test]
    fn fields_have_the_numbers_and_types_of_the_schema() {
        // By hand: field 1 as a varint; field 7 with its length, in it field 5, in it dims packed, type, name, raw data.
        let tensor = TensorProto {
            dims: vec![1, 4],
            data_type: DataType::Uint8 as i32,
            name: "w".to_owned(),
            raw_data: Bytes::from_static(b"abcd"),
        };
        let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
        let model = ModelProto { ir_version: 8, graph: Some(graph), ..Default::default() };
        let tensor = [&[0x0a, 2, 1, 4, 0x10, 2, 0x42, 1, b'w', 0x4a, 4][..], b"abcd"].concat();
        let graph = [&[0x2a, tensor.len() as u8][..], &tensor].concat();
        let expected = [&[0x08, 8, 0x3a, graph.len() as u8][..], &graph].concat();
        assert_eq!(model.encode_to_vec(), expected);
        // 0 is what an attribute may well mean, so it is written.
        let zero = AttributeProto { i: Some(0), r#type: AttributeType::Int as i32, ..Default::default() };
        assert_eq!(zero.encode_to_vec(), [0x18, 0, 0xa0, 1, 2]);
    }
}
