export type SecretValues = Readonly<Record<string, string | Uint8Array>> | undefined;

/**
 * Takes the secrets of a call out of any text: what was asked, and what a driver said (`set -x` shows its arguments). Both
 * the plain value and its base64 are hidden. A value of fewer than four characters is left, for replacing it would make
 * the text unreadable and hide nothing.
 */
export function secretMask(secrets: SecretValues): (text: string) => string {
  const values = Object.values(secrets ?? {}).flatMap((value) => {
    const bytes = Buffer.from(value);
    return [bytes.toString('base64'), bytes.toString('utf8')];
  });
  const hidden = values.filter((value) => value.length >= 4).sort((a, b) => b.length - a.length);
  return (text) => hidden.reduce((masked, value) => masked.replaceAll(value, '***'), text);
}
