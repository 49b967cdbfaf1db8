// No exception leaves C++: it becomes a message, which the caller frees; null, if there is none.
#pragma once

#include <cstring>
#include <exception>

template <typename F> char *guarded(F &&call) {
  try {
    call();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("something that is no std::exception was thrown");
  }
}
