//! Automatic differentiation: Var, the graph, derivative rules, backward and grad_check.
