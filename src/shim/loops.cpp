// The files with loops over numbers and backward passes, in one: libtorch's headers take most of the time that each of them takes to compile.
#include "convolution.cpp"
#include "elementwise.cpp"
#include "upsample.cpp"
