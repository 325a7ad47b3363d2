const always = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** OpenSSL's name of a cipher suite that KubeletConfiguration names as IANA does. */
export function opensslCipher(name: string): string {
  const [, exchange, cipher] = /^TLS_(.+)_WITH_(.+)$/.exec(name) ?? [];
  if (exchange === undefined || cipher === undefined) return name;
  const plain = cipher
    .replace(/^CHACHA20_POLY1305(_SHA256)?$/, 'CHACHA20-POLY1305')
    .replace(/^AES_(\d+)_/, 'AES$1-')
    .replace('CBC_', '')
    .replaceAll('_', '-');
  return exchange === 'RSA' ? plain : `${exchange.replaceAll('_', '-')}-${plain}`;
}

/** What Node's `ciphers` takes; undefined for its own choice. Suites of TLS 1.3 cannot be taken away, as in Go. */
export function cipherList(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  return [...new Set([...names.map(opensslCipher), ...always])].join(':');
}
