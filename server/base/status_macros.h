// Early return on errors. Both evaluate their expression once.
#ifndef TIMBRE_SERVER_BASE_STATUS_MACROS_H_
#define TIMBRE_SERVER_BASE_STATUS_MACROS_H_

#include <utility>

#define TIMBRE_STATUS_CONCAT_INNER_(a, b) a##b
#define TIMBRE_STATUS_CONCAT_(a, b) TIMBRE_STATUS_CONCAT_INNER_(a, b)

// Returns the status of `expression` from the enclosing function unless OK.
#define TIMBRE_RETURN_IF_ERROR(expression)                          \
  do {                                                              \
    if (auto timbre_status_ = (expression); !timbre_status_.ok()) { \
      return timbre_status_;                                        \
    }                                                               \
  } while (false)

// Assigns the value of a StatusOr to `target`, or returns its status.
#define TIMBRE_ASSIGN_OR_RETURN(target, expression) \
  TIMBRE_ASSIGN_OR_RETURN_IMPL_(                    \
      TIMBRE_STATUS_CONCAT_(timbre_status_or_, __LINE__), target, expression)

// `result` and `target` are names, which parentheses would break.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TIMBRE_ASSIGN_OR_RETURN_IMPL_(result, target, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) return std::move(result).status();            \
  target = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)

#endif  // TIMBRE_SERVER_BASE_STATUS_MACROS_H_
