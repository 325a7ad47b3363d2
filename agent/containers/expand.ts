/**
 * Expands `$(NAME)` references as Kubernetes does: a known name becomes its value, an unknown one stays as written, `$$` is a literal
 * `$`, an unterminated `$(` stays, values are not expanded again.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (whole, name: string | undefined) => {
    if (whole === '$$') return '$';
    return lookup(name ?? '') ?? whole;
  });
}
