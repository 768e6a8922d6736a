import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.timeout.IdleState;
import io.netty.handler.timeout.IdleStateEvent;
import io.netty.handler.timeout.IdleStateHandler;
import io.netty.util.ReferenceCountUtil;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/**
 * A client that pings when it has written nothing for a while, gives its peer up when it has read nothing for a longer
 * while, and then connects again.
 *
 * <pre>Client HOST PORT WRITE_IDLE_MS READ_IDLE_MS RETRY_MS</pre>
 *
 * It connects again RETRY_MS after the connection's end and after each failed attempt, each time twice as long. That is
 * done apart from the handlers: a handler's timers die with its channel.
 */
public final class Client {
    private static final long LONGEST_RETRY_MS = 60_000;

    private final Bootstrap bootstrap = new Bootstrap();
    private final EventLoopGroup group = new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());
    private final long firstRetryMs;
    private long retryMs;

    private Client(String host, int port, long writeIdleMs, long readIdleMs, long firstRetryMs) {
        this.firstRetryMs = firstRetryMs;
        this.retryMs = firstRetryMs;
        bootstrap
                .group(group)
                .channel(NioSocketChannel.class)
                .remoteAddress(host, port)
                .handler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        channel.pipeline()
                                .addLast(new IdleStateHandler(readIdleMs, writeIdleMs, 0, TimeUnit.MILLISECONDS))
                                .addLast(new Heartbeat(readIdleMs));
                    }
                });
    }

    /** Connects, and sees to it that another connection is made whenever this one ends. */
    private void connect() {
        bootstrap.connect().addListener((ChannelFuture attempt) -> {
            if (attempt.isSuccess()) {
                System.out.println("connected");
                retryMs = firstRetryMs;
                attempt.channel().closeFuture().addListener(end -> connectLater());
            } else {
                System.out.println("not connected: " + attempt.cause().getMessage());
                connectLater();
            }
        });
    }

    private void connectLater() {
        group.schedule(this::connect, retryMs, TimeUnit.MILLISECONDS);
        retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
    }

    /** Pings a silent peer and closes the channel of a dead one. */
    private static final class Heartbeat extends ChannelInboundHandlerAdapter {
        private final long readIdleMs;

        Heartbeat(long readIdleMs) {
            this.readIdleMs = readIdleMs;
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (!(event instanceof IdleStateEvent idle)) {
                context.fireUserEventTriggered(event);
            } else if (idle.state() == IdleState.WRITER_IDLE) {
                context.writeAndFlush(Unpooled.copiedBuffer("ping\n", StandardCharsets.US_ASCII));
            } else {
                System.out.println("lost: nothing read for " + readIdleMs + " ms");
                context.close();
            }
        }

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            ReferenceCountUtil.release(message); // any input will do: IdleStateHandler has seen it
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            System.out.println("lost: " + cause.getMessage());
            context.close();
        }
    }

    public static void main(String[] arguments) {
        if (arguments.length != 5) {
            System.err.println("usage: Client HOST PORT WRITE_IDLE_MS READ_IDLE_MS RETRY_MS");
            System.exit(2);
        }
        new Client(
                        arguments[0],
                        Integer.parseInt(arguments[1]),
                        Long.parseLong(arguments[2]),
                        Long.parseLong(arguments[3]),
                        Long.parseLong(arguments[4]))
                .connect();
    }
}
