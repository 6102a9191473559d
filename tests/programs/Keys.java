/* Keys.java - a JVM over the target's files: a keystore, a channel, a mapping, a walk. */
import java.io.*;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.security.KeyStore;
import java.util.Collections;

public class Keys {
    public static void main(String[] arguments) throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream("/data/keys.p12")) {
            keys.load(in, "changeit".toCharArray());
        }
        System.out.println(Collections.list(keys.aliases()) + " " + keys.getKey("key", "changeit".toCharArray()).getAlgorithm());
        Path path = Path.of("/data/random");
        try (FileChannel channel = FileChannel.open(path)) {
            MappedByteBuffer mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            System.out.println(mapped.get(2_999_999) + " " + channel.size());
        }
        try (RandomAccessFile file = new RandomAccessFile("/data/random", "r")) {
            file.seek(1_500_000);
            System.out.println(file.read() + " " + file.length());
        }
        try (var walked = Files.walk(Path.of("/data/small"))) {
            System.out.println(walked.count());
        }
        System.out.println(Files.getLastModifiedTime(path) + " " + java.nio.file.attribute.PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
        System.out.println(Files.readAllLines(Path.of("/data/small/poem")) + " " + Files.exists(Path.of("/data/nothing")));
        System.out.println(new File("/data/small").list().length + " " + Path.of("/data/small/link/f1").toRealPath());
        try {
            Files.readString(Path.of("/data/nothing"));
        } catch (NoSuchFileException e) {
            System.out.println(e);
        }
    }
}
