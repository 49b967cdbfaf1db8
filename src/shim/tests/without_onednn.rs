//! In a process of its own, as what is switched off here stays off.

use intrada_shim::convolution::is_ours;
use intrada_shim::cpu;
use tch::Tensor;
use tch::kind::FLOAT_CPU;

/// Its sums depend on the size of the CPU's caches.
#[test]
fn where_onednn_is_left_out_no_convolution_of_ours_goes_through_it() {
    let [x, weight] = [[1, 64, 8, 8], [64, 64, 3, 3]].map(|shape| Tensor::ones(shape, FLOAT_CPU));
    assert!(is_ours(&x, &weight));
    cpu::leave_onednn_out();
    assert!(!is_ours(&x, &weight));
}
