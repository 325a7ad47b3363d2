/** Whether a part of a path stands for more than itself. */
export const isWild = (part: string): boolean => /[*?[]/.test(part);

/** A name pattern of a shell as a regular expression; a leading dot is only matched by a dot. */
export function nameMatcher(pattern: string): RegExp {
  let source = pattern.startsWith('.') ? '' : '(?!\\.)';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    const close = pattern.indexOf(']', at + 2);
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[' && close > 0) {
      const inside = pattern
        .slice(at + 1, close)
        .replaceAll('\\', '\\\\')
        .replace(/^!/, '^');
      source += `[${inside}]`;
      at = close;
    } else source += char.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  }
  return new RegExp(`^${source}$`);
}
