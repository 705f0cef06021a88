// What tch has no call for: AdamW in one pass, memory that the device copies from and to on its
// own, marks in the device's queue, TF32, and the allocator's peak. Rust's side is src/shim.rs.
//
// Nothing of CUDA's headers is needed: c10's interfaces reach whichever backend is loaded.
// Every function that can fail returns nullptr, or its error as text that the caller frees.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

template <typename Body>
char* guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an error that is no exception");
  }
}

} // namespace

extern "C" {

struct RdtAdamW {
  double learning_rate;
  double beta1;
  double beta2;
  double weight_decay;
  double epsilon;
};

// One update of all parameters. `step`, `scale` and `skip` are f32 tensors of one element on the
// device: the number of the update, what the gradient is divided by, and 1 where nothing is to be
// changed.
char* rdt_adamw(
    const RdtAdamW* settings,
    const at::Tensor* parameters,
    const at::Tensor* gradient,
    const at::Tensor* first_moment,
    const at::Tensor* second_moment,
    const at::Tensor* step,
    const at::Tensor* scale,
    const at::Tensor* skip) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    at::_fused_adamw_(
        at::TensorList(*parameters),
        at::TensorList(*gradient),
        at::TensorList(*first_moment),
        at::TensorList(*second_moment),
        at::TensorList(),
        at::TensorList(*step),
        settings->learning_rate,
        settings->beta1,
        settings->beta2,
        settings->weight_decay,
        settings->epsilon,
        /*amsgrad=*/false,
        /*maximize=*/false,
        *scale,
        *skip);
  });
}

// Copies host memory into memory that the device reads on its own, and queues its copy to device
// `index`: the caller's memory is free again on return, and nothing waits for the device.
char* rdt_upload(
    const void* data,
    std::size_t bytes,
    int kind,
    const int64_t* sizes,
    std::size_t dimensions,
    int index,
    at::Tensor** out) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind)).pinned_memory(true);
    at::Tensor staged = at::empty(at::IntArrayRef(sizes, dimensions), options);
    TORCH_CHECK(staged.nbytes() == bytes, "expected ", staged.nbytes(), " bytes, found ", bytes);
    if (bytes > 0) {
      std::memcpy(staged.data_ptr(), data, bytes);
    }
    c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
    *out = new at::Tensor(staged.to(device, /*non_blocking=*/true));
  });
}

// Queues a copy of a CUDA tensor to the host and a mark behind it. The copy is whole once
// rdt_await has returned.
char* rdt_fetch(const at::Tensor* tensor, at::Tensor** out, c10::Event** mark) {
  return guarded([&] {
    c10::Device device = tensor->device();
    c10::impl::VirtualGuardImpl guard(device.type());
    at::Tensor copy = tensor->to(at::kCPU, /*non_blocking=*/true);
    auto event = std::make_unique<c10::Event>(device.type());
    event->record(guard.getStream(device));
    *out = new at::Tensor(std::move(copy));
    *mark = event.release();
  });
}

// Waits until the device has come to the mark, and frees it.
char* rdt_await(c10::Event* mark) {
  return guarded([&] {
    std::unique_ptr<c10::Event> owned(mark);
    owned->synchronize();
  });
}

void rdt_forget(c10::Event* mark) {
  delete mark;
}

void rdt_allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

bool rdt_tf32_allowed() {
  return at::globalContext().allowTF32CuBLAS();
}

// Most bytes of device `index` that tensors took at once.
char* rdt_peak_bytes(int index, int64_t* bytes) {
  return guarded([&] {
    auto* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index));
    *bytes = stats.allocated_bytes[0].peak;
  });
}

// Memory that was freed stays with the process, where that is glibc's to decide.
void rdt_keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

void rdt_free(char* text) {
  std::free(text);
}

} // extern "C"
