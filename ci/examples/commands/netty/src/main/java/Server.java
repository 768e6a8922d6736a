import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.timeout.IdleStateEvent;
import io.netty.handler.timeout.IdleStateHandler;
import java.util.concurrent.TimeUnit;

/**
 * An echo server that drops clients which have said nothing for a while.
 *
 * <pre>Server PORT READ_IDLE_MS</pre>
 */
public final class Server {
    private Server() {}

    public static void main(String[] arguments) {
        if (arguments.length != 2) {
            System.err.println("usage: Server PORT READ_IDLE_MS");
            System.exit(2);
        }
        long readIdleMs = Long.parseLong(arguments[1]);
        EventLoopGroup group = new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());
        new ServerBootstrap()
                .group(group)
                .channel(NioServerSocketChannel.class)
                .childHandler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        channel.pipeline()
                                .addLast(new IdleStateHandler(readIdleMs, 0, 0, TimeUnit.MILLISECONDS))
                                .addLast(new Echo(readIdleMs));
                    }
                })
                .bind(Integer.parseInt(arguments[0]))
                .syncUninterruptibly();
    }

    /** Sends back what comes. */
    private static final class Echo extends ChannelInboundHandlerAdapter {
        private final long readIdleMs;

        Echo(long readIdleMs) {
            this.readIdleMs = readIdleMs;
        }

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            context.writeAndFlush(message);
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event instanceof IdleStateEvent) {
                System.out.println("dropped: nothing read for " + readIdleMs + " ms");
                context.close();
            } else {
                context.fireUserEventTriggered(event);
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            System.out.println("lost: " + cause.getMessage());
            context.close();
        }
    }
}
