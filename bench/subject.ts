/** What is measured runs as a process of its own: `subject.ts echo|shipmate <metadata URL> <origin> <data folder> <started at, ms>`. */
const [, , kind = '', metadataUrl = '', origin = '', data = ''] = process.argv;

async function main(): Promise<void> {
  const port =
    kind === 'echo'
      ? await (await import('./echo.ts')).startEcho(metadataUrl)
      : await (await import('./shipmate.ts')).startShipmate(metadataUrl, origin, data);
  process.on('message', async (message: { ask: string }) => {
    if (message.ask === 'usage') process.send?.({ cpu: process.cpuUsage(), rss: process.memoryUsage().rss });
    if (message.ask === 'commits')
      process.send?.({ commits: await (await import('./shipmate.ts')).commitsPerSecond() });
    if (message.ask === 'stop') process.exit(0);
  });
  // The driver is gone: nobody measures any more.
  process.once('disconnect', () => process.exit(0));
  process.send?.({ port });
}

await main();
