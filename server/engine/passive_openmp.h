// How faiss's OpenMP threads wait for work.
#ifndef TIMBRE_SERVER_ENGINE_PASSIVE_OPENMP_H_
#define TIMBRE_SERVER_ENGINE_PASSIVE_OPENMP_H_

namespace timbre {

// Threads that have nothing to do spin by default, and with two builds on two
// cores keep each other from working: seconds become minutes. libgomp reads
// OMP_WAIT_POLICY before main, so the program starts once more with it set to
// passive, in the same process. Returns, to go on, where it is set already or
// starting again fails. Call first, before there are threads; `argv` is main's.
void RestartWithPassiveOpenMp(char** argv);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_PASSIVE_OPENMP_H_
